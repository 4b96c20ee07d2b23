"""Runs the documents: each command, and each sample of JSON.

A fenced block in `sh` or `console` is run by bash, one in `json` is compared. A comment
in front of a block tells more; it is invisible to readers of the page:

    <!-- not run: REASON -->                It is left out.
    <!-- answer to: METHOD PATH [BODY] -->  A request gets an answer like it.
    <!-- sent: METHOD PATH -->              It is the body of a request, which succeeds.
    <!-- body of: METHOD PATH -->           It is valid by the request's schema.
    <!-- schema of: METHOD PATH STATUS -->  It is valid by the response's schema.
    <!-- file: NAME -->                     It is a file that commands may read.

JSON without a comment is the answer of the command in front of it.
"""
