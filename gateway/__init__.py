"""The HTTP front: signed upload URLs in, upload-completed events out."""
