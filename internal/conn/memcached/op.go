package memcached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/micro/go-platform/internal/conn/stream"
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
	// sent; ErrLost if it was; TooLarge or Invalid if the server refused it;
	// TooLarge if what Get found is.
	Err error
}

// Do makes one round trip with all ops. Each has its own answer. It returns
// when ctx ends, or after the configured timeout.
func (s *Server) Do(ctx context.Context, ops []*Op) {
	size := 0
	for _, op := range ops {
		size += len(op.Value) + len(op.Key)
	}
	err := s.pool.Trip(ctx, size, func(c *stream.Conn) {
		for _, op := range ops {
			write(c.W, op)
		}
	}, func(c *stream.Conn, err error) bool {
		for _, op := range ops {
			if err == nil {
				err = read(c, op)
			}
			if err != nil {
				op.Err = fmt.Errorf("%w from %s: %w", ErrLost, s.addr, err)
			}
		}
		return err == nil
	})
	if err != nil {
		err = fault.Mark(fault.Unavailable, err)
		for _, op := range ops {
			op.Err = err
		}
	}
}

func write(w *bufio.Writer, op *Op) {
	b := w.AvailableBuffer()
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
		w.Write(b)
		w.Write(op.Value)
		b = w.AvailableBuffer()
	}
	w.Write(append(b, "\r\n"...))
}

var errProtocol = errors.New("the answer is not memcached's")

// readLine returns the next line without its end, until the next read.
func readLine(c *stream.Conn) ([]byte, error) {
	b, err := c.R.ReadSlice('\n')
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
func read(c *stream.Conn, op *Op) error {
	line, err := readLine(c)
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
		return readValue(c, op, text)
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

// MaxValue is how large a value Get takes. memcached's own limit is 1 MiB, and 1 GiB
// with its option -I.
const MaxValue = 32 << 20

// readValue reads "VALUE key flags bytes cas", the bytes, and "END".
func readValue(c *stream.Conn, op *Op, line string) error {
	fields := strings.Split(line, " ") // not Fields: a key may hold white space beyond ASCII
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
	if size > MaxValue {
		op.Err = fault.Markf(fault.TooLarge, "the value has %d bytes, more than %d", size, MaxValue)
		_, err := io.CopyN(io.Discard, c.R, int64(size))
		if err != nil {
			return err
		}
	} else {
		op.Value = make([]byte, size)
		_, err := io.ReadFull(c.R, op.Value)
		if err != nil {
			return err
		}
	}
	if b, err := readLine(c); err != nil || len(b) != 0 {
		return errors.Join(errProtocol, err)
	}
	if b, err := readLine(c); err != nil || string(b) != "END" {
		return errors.Join(errProtocol, err)
	}
	op.Done = op.Err == nil
	return nil
}
