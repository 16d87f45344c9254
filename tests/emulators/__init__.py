"""Emulators of Google Cloud Storage and of Azure Blob Storage, which misbehave on request."""
