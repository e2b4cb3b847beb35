"""The core: jobs, their life, the queue, the verbs, and the ports that adapters implement."""
