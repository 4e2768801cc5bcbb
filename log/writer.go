package log

import (
	"context"
	"io"
	"os"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// ToStdout writes lines to the process's standard output.
func ToStdout(e Encoding) Option {
	return toWriter("stdout", func() io.Writer { return os.Stdout }, e)
}

// ToWriter writes lines to w, a batch in one call, never from two goroutines at
// a time. If w has a method SetWriteDeadline, as connections and pipes do, a
// write ends when its context does. Close leaves w open.
func ToWriter(w io.Writer, e Encoding) Option {
	return toWriter("writer", func() io.Writer { return w }, e)
}

func toWriter(name string, w func() io.Writer, e Encoding) Option {
	return withLocal(name, func(context.Context) (Driver, error) {
		out := w()
		if fronts.Nil(out) || fronts.Nil(e) {
			return nil, fault.Markf(ErrInvalid, "no writer or no encoding")
		}
		return &lines{w: out, enc: e}, nil
	})
}

// lines writes batches to a byte stream. Its partial keeps the stream whole
// when a write ends within a record: what is left of it comes first.
type lines struct {
	w       io.Writer
	enc     Encoding
	partial int // bytes of the next record that are out
}

func (l *lines) Encoding() Encoding         { return l.enc }
func (l *lines) Ping(context.Context) error { return nil }
func (l *lines) Close() error               { return nil }

func (l *lines) Write(ctx context.Context, b Batch) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer bound(ctx, l.w)()
	n, err := l.w.Write(b.Data[l.partial:])
	var done int
	done, l.partial = progress(b, l.partial+n)
	if err == nil && done < b.Len() {
		err = io.ErrShortWrite
	}
	return done, err
}

// progress returns how many records n bytes of b are, and how many bytes of the
// next.
func progress(b Batch, n int) (records, partial int) {
	for records < b.Len() && b.Ends[records] <= n {
		records++
	}
	return records, max(n-b.start(records), 0)
}
