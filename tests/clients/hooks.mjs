// Finds './models' as './models.js' or './models/index.js', as bundlers do; generators count on it.
import {existsSync} from 'node:fs'
import {register} from 'node:module'

export const resolve = (name, context, next) => {
  if (name.startsWith('.')) {
    const found = ['', '.js', '/index.js'].map(end => new URL(name + end, context.parentURL))
      .find(url => /\.m?js$/.test(url.pathname) && existsSync(url))
    return next(found?.href ?? name, context)
  }
  return next(name, context)
}

if (!new URL(import.meta.url).search) register(`${import.meta.url}?hooks`)
