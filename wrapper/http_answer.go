package wrapper

import (
	"fmt"
	"io"
	"net/http"
)

// hand makes a response the call's answer: the call ends when its body does.
func (a *clientAttempt) hand(resp *http.Response) *http.Response {
	resp.Request = a.call.request
	a.answer = resp.Body
	a.status.answer = resp
	switch w := resp.Body.(type) {
	case nil:
		a.Close()
	case io.ReadWriteCloser: // a connection that was upgraded
		resp.Body = upgraded{a, w}
	default:
		if resp.Body == http.NoBody {
			a.end(nil)
		} else {
			resp.Body = a
		}
	}
	return resp
}

// upgraded is the connection that an upgrade left to the caller.
type upgraded struct {
	*clientAttempt
	io.Writer
}

// CloseWrite ends what the caller sends, as the body of net/http does: a proxy
// hands on by it that its own caller sends no more.
func (u upgraded) CloseWrite() error {
	c, ok := u.Writer.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("CloseWrite: %w", http.ErrNotSupported)
	}
	return c.CloseWrite()
}

// Read reads the answer. Its end, good or bad, is that of the call.
func (a *clientAttempt) Read(p []byte) (int, error) {
	n, err := a.answer.Read(p)
	a.status.write(p[:n])
	if err == io.EOF {
		a.end(nil)
	} else if err != nil {
		a.end(err)
	}
	return n, err
}

// Close ends the call, however much of the answer was read.
func (a *clientAttempt) Close() error {
	var err error
	if a.answer != nil {
		err = a.answer.Close()
	}
	a.end(nil)
	return err
}

// end ends the attempt and with it the call. err is what broke the reading.
func (a *clientAttempt) end(err error) {
	a.once.Do(func() { a.done(err); a.call.finish(err) })
}

// discard closes an answer that is not returned. A short one is read to its
// end, which keeps its connection.
func discard(resp *http.Response) {
	if resp == nil || resp.Body == nil {
		return
	}
	if n := resp.ContentLength; n > 0 && n <= 4<<10 {
		io.CopyN(io.Discard, resp.Body, n)
	}
	resp.Body.Close()
}
