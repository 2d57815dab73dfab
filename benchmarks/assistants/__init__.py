"""Questions over many conversations, put to assistants that have only the tools; answers are judged by a script."""
