// Requests as JSON lines on standard input, answers as JSON lines on standard output.
import { createInterface } from 'node:readline'

export const writeLine = (value) => new Promise((resolve) => {
  process.stdout.write(`${JSON.stringify(value)}\n`, resolve)
})

export const serveLines = (onRequest) => {
  const input = createInterface({ input: process.stdin })
  input.on('line', (line) => onRequest(JSON.parse(line)))
  input.on('close', () => process.exit(0)) // whoever started this process is gone
}
