"""The face: pages for people. No models, no SQL; it asks ``tracking.reports`` and acts through tracking's verbs."""
