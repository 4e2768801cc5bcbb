package sync

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/micro/go-platform/internal/fault"
)

// Cell is one value of a store that can compare and set, such as a key of
// package kv on any backend that has revisions. Two short methods make one:
// see the example of WriteFenced.
type Cell interface {
	// Load returns the value and its revision; revision 0 if there is none.
	Load(ctx context.Context) (value []byte, revision uint64, err error)
	// Store replaces the value of the given revision; 0 means that there must
	// be none. ErrConflict says that the revision is another; the ErrConflict and
	// ErrExists of the package that the cell stands on, such as kv, will do.
	Store(ctx context.Context, value []byte, revision uint64) error
}

// tokenSize is what stands before the value in a cell: the token, big endian.
const tokenSize = 8

// WriteFenced writes value unless the cell was written with a larger token,
// which is ErrConflict. The store compares, so a writer that is late by any
// time is refused: this is what makes a lock safe. Each write costs a Load and
// a Store. All writers of the cell must use it.
func WriteFenced(ctx context.Context, c Cell, token uint64, value []byte) error {
	buf := binary.BigEndian.AppendUint64(make([]byte, 0, tokenSize+len(value)), token)
	buf = append(buf, value...)
	for {
		_, last, revision, err := load(ctx, c)
		if err != nil {
			return fault.Wrap("sync", "write fenced", "", err)
		}
		if token < last {
			return fault.New(ErrConflict, "sync", "write fenced", "", "token %d is older than %d", token, last)
		}
		err = c.Store(ctx, buf, revision)
		if !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.Exists) {
			return fault.Wrap("sync", "write fenced", "", err)
		}
		if err := ctx.Err(); err != nil { // somebody was faster: look at their token
			return fault.Wrap("sync", "write fenced", "", err)
		}
	}
}

// ReadFenced returns what WriteFenced wrote last, and its token; nil and 0 if
// nothing was written.
func ReadFenced(ctx context.Context, c Cell) (value []byte, token uint64, err error) {
	value, token, _, err = load(ctx, c)
	return value, token, fault.Wrap("sync", "read fenced", "", err)
}

func load(ctx context.Context, c Cell) (value []byte, token, revision uint64, err error) {
	raw, revision, err := c.Load(ctx)
	switch {
	case err != nil || revision == 0:
		return nil, 0, 0, err
	case len(raw) < tokenSize:
		return nil, 0, 0, fault.Markf(ErrInvalid, "a value of %d bytes was not written by WriteFenced", len(raw))
	}
	return raw[tokenSize:], binary.BigEndian.Uint64(raw), revision, nil
}
