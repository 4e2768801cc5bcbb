package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/micro/go-platform/engine"
)

// call is one execution of a verb.
type call struct {
	streams
	path    []string // the verb, from the root on
	args    []string
	data    []byte // the last argument or standard input, of a verb that reads
	format  format
	engines engine.Set
	closers []func() error
}

// closes has close called at the end, before what is there already.
func (c *call) closes(close func() error) { c.closers = append(c.closers, close) }

// closesWithin is closes for what wants a context.
func (c *call) closesWithin(close func(context.Context) error) {
	c.closes(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return close(ctx)
	})
}

// close releases what the call has opened. Everything that was asked for has been
// answered by then, so a failure is no matter.
func (c *call) close() {
	for _, f := range slices.Backward(c.closers) {
		f()
	}
	c.engines.Close()
}

// input returns argument i, or what standard input has if there is none or it is "-".
func (c *call) input(ctx context.Context, i int) ([]byte, error) {
	if i < len(c.args) && c.args[i] != "-" {
		return []byte(c.args[i]), nil
	}
	if c.inTerminal {
		c.note("reading from the terminal; end with Ctrl-D")
	}
	var b []byte
	read := make(chan error, 1)
	go func() { // Ctrl-C can't end a read: it is left to the end of the program
		var err error
		b, err = io.ReadAll(io.LimitReader(c.in, maxInput+1))
		read <- err
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-read:
		if err == nil && len(b) > maxInput {
			err = badUse("standard input has more than %s", size(maxInput))
		}
		return b, err
	}
}

// maxInput is how many bytes are read from standard input.
const maxInput = 64 << 20

// json prints v as one line.
func (c *call) json(v any) error {
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// isJSON reports whether the output is JSON.
func (c *call) isJSON() bool { return c.format == formatJSON }

// isTable reports whether the output is for a person.
func (c *call) isTable() bool {
	return c.format == formatTable || c.format == "" && c.outTerminal
}

// done says in a line what was done; JSON is v.
func (c *call) done(v any, format string, args ...any) error {
	if c.isJSON() {
		return c.json(v)
	}
	_, err := fmt.Fprintln(c.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// raw prints a value as it is into a pipe or a file; on a terminal it does no harm
// there and ends with a line break.
func (c *call) raw(b []byte) error {
	if !c.outTerminal {
		_, err := c.out.Write(b)
		return err
	}
	_, err := fmt.Fprintln(c.out, text(b))
	return err
}

// format is that of the output.
type format string

const (
	formatTable format = "table" // aligned, for people
	formatTSV   format = "tsv"   // a line each, fields with tabs between
	formatJSON  format = "json"  // a value a line
)
