#!/bin/sh
# What Apache handed to a CGI program. The body is read as CGI says, to its end.
printf 'Content-Type: text/plain\r\n\r\n%s %s\n' "$REQUEST_METHOD" "$REQUEST_URI"
cat
