package wrapper

import (
	"errors"
	"io"
	"sync"
)

// body is a request's body that can be sent again as long as little of it has
// been read: what the transport reads is kept, up to a limit. Nothing is read
// ahead.
type body struct {
	src   io.ReadCloser
	limit int

	mu      sync.Mutex
	kept    []byte
	lost    bool  // more was read than is kept
	err     error // how src ended
	reading bool  // a Read of src is in progress, outside the lock
	current *bodyView
	final   bool // it will not be sent again
	closed  bool
}

func newBody(src io.ReadCloser, limit int) *body { return &body{src: src, limit: limit} }

// bodyView is the body as one attempt reads it. One that is no longer current
// reads nothing more: its transport may be slow to release it.
type bodyView struct {
	b      *body
	off    int
	closed bool
}

var errDetached = errors.New("wrapper: the attempt that read this body is over")

// view returns the body from its start.
func (b *body) view() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = &bodyView{b: b}
	return b.current
}

// rewind detaches the current view and reports whether another can follow.
func (b *body) rewind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost || b.reading || b.closed {
		return false
	}
	b.current = nil
	return true
}

// release lets the body be closed as soon as the current view is, or now if
// there is none.
func (b *body) release() {
	b.mu.Lock()
	b.final = true
	now := !b.closed && (b.current == nil || b.current.closed)
	b.closed = b.closed || now
	b.mu.Unlock()
	if now {
		b.src.Close()
	}
}

func (v *bodyView) Read(p []byte) (int, error) {
	b := v.b
	b.mu.Lock()
	switch {
	case v != b.current || v.closed:
		b.mu.Unlock()
		return 0, errDetached
	case !b.lost && v.off < len(b.kept):
		n := copy(p, b.kept[v.off:])
		v.off += n
		b.mu.Unlock()
		return n, nil
	case b.err != nil:
		err := b.err
		b.mu.Unlock()
		return 0, err
	}
	b.reading = true
	b.mu.Unlock()

	n, err := b.src.Read(p)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.err = err
	if !b.lost && len(b.kept)+n <= b.limit && !b.final {
		b.kept = append(b.kept, p[:n]...)
		v.off += n
	} else if n > 0 {
		b.lost, b.kept = true, nil
	}
	return n, err
}

func (v *bodyView) Close() error {
	b := v.b
	b.mu.Lock()
	v.closed = true
	now := b.final && !b.closed && v == b.current
	b.closed = b.closed || now
	b.mu.Unlock()
	if now {
		return b.src.Close()
	}
	return nil
}
