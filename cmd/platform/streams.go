package main

import (
	"io"
	"os"
)

// streams are what the program has of the outside.
type streams struct {
	in       io.Reader
	out, err io.Writer
	env      func(name string) string

	inTerminal, outTerminal, errTerminal bool
	width                                int // of the terminal at out, in characters
}

// system returns the streams of this process.
func system() streams {
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, width: 80}
	_, s.inTerminal = terminal(os.Stdin)
	_, s.errTerminal = terminal(os.Stderr)
	width, ok := terminal(os.Stdout)
	s.outTerminal = ok
	if width > 0 {
		s.width = width
	}
	return s
}

// colors reports whether a stream that is a terminal or not takes colours; see
// https://no-color.org.
func (s streams) colors(terminal bool) bool {
	return terminal && s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"
}
