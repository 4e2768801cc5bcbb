package log

import (
	"context"
	"io"
	"time"
)

// bound makes writes to w end with ctx, if w can do that. The function that it
// returns undoes it.
func bound(ctx context.Context, w io.Writer) func() {
	d, ok := w.(interface{ SetWriteDeadline(time.Time) error })
	if !ok {
		return func() {}
	}
	if t, ok := ctx.Deadline(); ok {
		_ = d.SetWriteDeadline(t)
	}
	stop := context.AfterFunc(ctx, func() { _ = d.SetWriteDeadline(time.Unix(1, 0)) })
	return func() {
		if stop() {
			_ = d.SetWriteDeadline(time.Time{})
		}
	}
}
