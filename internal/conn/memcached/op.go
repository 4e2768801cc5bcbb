package memcached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Verb is what an Op does.
type Verb uint8

// The verbs. Get also brings CAS.
const (
	Get Verb = iota
	Set
	Add
	CompareAndSwap
	Delete
	Version
)

var verbs = [...]string{"gets ", "set ", "add ", "cas ", "delete ", "version"}

// Op is one request and its answer.
type Op struct {
	Verb    Verb
	Key     string // as it goes over the wire
	Flags   uint32
	Exptime int64
	Value   []byte
	CAS     uint64 // given to CompareAndSwap, brought by Get

	// Done says that Get found an item, Set, Add and CompareAndSwap stored it,
	// Delete removed it. Changed says that CompareAndSwap met another item.
	Done    bool
	Changed bool

	// Err is nil if the server answered; Unavailable if the request was not
	// sent; ErrLost if it was; TooLarge or Invalid if the server refused it.
	Err error
}

// Do makes one round trip with all ops. Each has its own answer. It returns
// when ctx ends, or after the configured timeout.
func (s *Server) Do(ctx context.Context, ops []*Op) {
	c, err := s.take(ctx)
	if err != nil {
		if fault.KindOf(err) != fault.Unavailable {
			err = fault.Mark(fault.Unavailable, err)
		}
		for _, op := range ops {
			op.Err = err
		}
		return
	}
	deadline := time.Now().Add(s.config.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	c.nc.SetDeadline(deadline)
	whole := func() bool { return true }
	if ctx.Done() != nil {
		whole = context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
	}
	written, err := c.send(ops)
	broken := err != nil
	for _, op := range ops {
		if !broken {
			err = c.read(op)
			broken = err != nil
		}
		if broken {
			op.Err = fmt.Errorf("%w from %s: %w", ErrLost, s.addr, err)
		}
	}
	if !whole() { // ctx has ended, and with it the connection's time
		broken = true
	}
	if broken {
		c.nc.Close() // also frees the writer
	}
	if err := <-written; err != nil && !broken {
		broken = true
		c.nc.Close()
	}
	if !broken {
		s.give(c)
	}
}

// inStep is how many bytes may be written before anything is read. A server
// that is stuck with its answers does not read on.
const inStep = 32 << 10

var nothing = func() chan error { c := make(chan error); close(c); return c }()

// send writes all ops, those of many bytes while the caller reads.
func (c *connection) send(ops []*Op) (written <-chan error, err error) {
	size := 0
	for _, op := range ops {
		size += len(op.Value) + len(op.Key)
	}
	if size <= inStep || len(ops) == 1 {
		for _, op := range ops {
			c.write(op)
		}
		return nothing, c.w.Flush()
	}
	done := make(chan error, 1)
	go func() {
		for _, op := range ops {
			c.write(op)
		}
		done <- c.w.Flush()
	}()
	return done, nil
}

func (c *connection) write(op *Op) {
	b := c.w.AvailableBuffer()
	b = append(b, verbs[op.Verb]...)
	b = append(b, op.Key...)
	switch op.Verb {
	case Set, Add, CompareAndSwap:
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(op.Flags), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, op.Exptime, 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(len(op.Value)), 10)
		if op.Verb == CompareAndSwap {
			b = append(b, ' ')
			b = strconv.AppendUint(b, op.CAS, 10)
		}
		b = append(b, "\r\n"...)
		c.w.Write(b)
		c.w.Write(op.Value)
		b = c.w.AvailableBuffer()
	}
	c.w.Write(append(b, "\r\n"...))
}

var errProtocol = errors.New("the answer is not memcached's")

// line returns the next line without its end.
func (c *connection) line() (string, error) {
	b, err := c.slice()
	return string(b), err
}

func (c *connection) slice() ([]byte, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(b) < 2 || b[len(b)-2] != '\r' {
		return nil, errProtocol
	}
	return b[:len(b)-2], nil
}

// read takes op's answer. An error means that the connection is of no more
// use.
func (c *connection) read(op *Op) error {
	line, err := c.slice()
	if err != nil {
		return err
	}
	switch string(line) {
	case "END", "NOT_STORED", "NOT_FOUND":
		return nil
	case "STORED", "DELETED":
		op.Done = true
		return nil
	case "EXISTS":
		op.Changed = true
		return nil
	}
	text := string(line)
	switch {
	case op.Verb == Get && strings.HasPrefix(text, "VALUE "):
		return c.readValue(op, text)
	case op.Verb == Version && strings.HasPrefix(text, "VERSION "):
		op.Done = true
		return nil
	case strings.HasPrefix(text, "SERVER_ERROR object too large"):
		op.Err = fault.Mark(fault.TooLarge, errors.New(text))
		return nil
	case strings.HasPrefix(text, "SERVER_ERROR"):
		op.Err = fault.Mark(fault.Unavailable, errors.New(text))
		return nil
	case strings.HasPrefix(text, "CLIENT_ERROR"):
		op.Err = fault.Mark(fault.Invalid, errors.New(text))
		return nil
	}
	return errProtocol
}

// readValue reads "VALUE key flags bytes cas", the bytes, and "END".
func (c *connection) readValue(op *Op, line string) error {
	fields := strings.Fields(line)
	if len(fields) != 5 || fields[1] != op.Key {
		return errProtocol
	}
	flags, err1 := strconv.ParseUint(fields[2], 10, 32)
	size, err2 := strconv.ParseUint(fields[3], 10, 31)
	cas, err3 := strconv.ParseUint(fields[4], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return errProtocol
	}
	op.Flags, op.CAS = uint32(flags), cas
	op.Value = make([]byte, size)
	if _, err := io.ReadFull(c.r, op.Value); err != nil {
		return err
	}
	if b, err := c.slice(); err != nil || len(b) != 0 {
		return errors.Join(errProtocol, err)
	}
	if b, err := c.slice(); err != nil || string(b) != "END" {
		return errors.Join(errProtocol, err)
	}
	op.Done = true
	return nil
}
