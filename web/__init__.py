"""The pages for people: HTML and SVG made on the server, beside their templates."""
