"""From what a person types to conversations, best first, with the moments that matched."""
