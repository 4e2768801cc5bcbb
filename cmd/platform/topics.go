package main

// topic is a page of help about what all commands have in common.
type topic struct {
	name, short string
	text        func() string
}

var topics = []topic{
	{"addresses", "where a command finds its backend", addresses},
	{"output", "tables, TSV and JSON", func() string { return outputTopic }},
	{"codes", "what the exit codes mean", func() string { return codesTopic }},
}

const outputTopic = `On a terminal a list is a table, cut to the width of the terminal. In a pipe or
a file it has a line for each item, with tabs between the fields and no headline;
a field that has a tab, a line break or something unprintable is quoted as in Go.
A single value is its bytes and nothing else.

  -o table   a table, wherever it goes
  -o tsv     lines with tabs, on a terminal too
  -o json    a JSON value on a line for each item

The fields of JSON and their names stay as they are; new ones may come. Bytes that
are not UTF-8 are in "base64" instead of "value" or "data". Times are RFC 3339.

What is beside the output, such as "… more", is on standard error. Colours are on
terminals only, and never with NO_COLOR in the environment.

Ctrl-C ends what follows (watch, tail) with exit code 0.
`

const codesTopic = `   0  done
   1  the answer is no: not found, nobody leads, a token that is not accepted
   2  bad use: an unknown command, flag or address, bad input, what the backend can't do
   3  the backend does not answer
   4  a condition does not hold: it exists, has changed meanwhile, is held
   5  the backend refuses the credentials, or they lack a right
   6  a write that may have been applied: its answer was lost
   7  anything else
 130  interrupted before it was done

"platform sync lock" ends with the exit code of the command that it runs.
`
