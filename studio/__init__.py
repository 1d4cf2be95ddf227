"""The studio page: layout, viewer, preview and render services. Knows clips and settings, no pixels tricks."""
