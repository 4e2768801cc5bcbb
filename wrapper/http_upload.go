package wrapper

import (
	"io"
	"sync/atomic"
)

// uploading is a request's body as the transport reads it. It knows what broke
// in it: that is the caller's, and no fault of the instance.
type uploading struct {
	io.ReadCloser
	closed atomic.Bool
	err    atomic.Pointer[error]
}

func (u *uploading) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err != nil && err != io.EOF && err != errDetached && !u.closed.Load() {
		u.err.Store(&err)
	}
	return n, err
}

// Close is the transport's way to say that it needs no more: what a Read in
// progress returns then is of no interest.
func (u *uploading) Close() error {
	u.closed.Store(true)
	return u.ReadCloser.Close()
}

// failed returns what broke the body, or nil.
func (u *uploading) failed() error {
	if u == nil {
		return nil
	}
	if p := u.err.Load(); p != nil {
		return *p
	}
	return nil
}
