"""How values show themselves: tables, pictures, sentences."""
