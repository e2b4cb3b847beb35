"""The parts every process needs: clocks, tasks, logs, redaction, failpoints, vitals."""
