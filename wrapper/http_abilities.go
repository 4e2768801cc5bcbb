package wrapper

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// The writer that a handler gets has a method of these exactly if the server's
// writer has it, since handlers ask by type assertion. Each type holds nothing
// but the pointer, which needs no allocation to become an interface.
type (
	canF struct{ *response } // Flush, FlushError
	canH struct{ *response } // Hijack
	canR struct{ *response } // ReadFrom
	canP struct{ *response } // Push

	canFH struct{ canF }
	canFR struct{ canF }
	canFP struct{ canF }
	canHR struct{ canH }
	canHP struct{ canH }
	canRP struct{ canR }

	canFHR struct{ canFH }
	canFHP struct{ canFH }
	canFRP struct{ canFR }
	canHRP struct{ canHR }

	canFHRP struct{ canFHR }
)

func (w canF) Flush()                                        { _ = w.flush() }
func (w canF) FlushError() error                             { return w.flush() }
func (w canH) Hijack() (net.Conn, *bufio.ReadWriter, error)  { return w.hijack() }
func (w canR) ReadFrom(src io.Reader) (int64, error)         { return w.readFrom(src) }
func (w canP) Push(to string, o *http.PushOptions) error     { return w.push(to, o) }
func (w canFH) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }
func (w canFR) ReadFrom(src io.Reader) (int64, error)        { return w.readFrom(src) }
func (w canFP) Push(to string, o *http.PushOptions) error    { return w.push(to, o) }
func (w canHR) ReadFrom(src io.Reader) (int64, error)        { return w.readFrom(src) }
func (w canHP) Push(to string, o *http.PushOptions) error    { return w.push(to, o) }
func (w canRP) Push(to string, o *http.PushOptions) error    { return w.push(to, o) }
func (w canFHR) ReadFrom(src io.Reader) (int64, error)       { return w.readFrom(src) }
func (w canFHP) Push(to string, o *http.PushOptions) error   { return w.push(to, o) }
func (w canFRP) Push(to string, o *http.PushOptions) error   { return w.push(to, o) }
func (w canHRP) Push(to string, o *http.PushOptions) error   { return w.push(to, o) }
func (w canFHRP) Push(to string, o *http.PushOptions) error  { return w.push(to, o) }

// outer returns r with just the abilities of the writer that it wraps.
func (r *response) outer() http.ResponseWriter {
	_, f := r.ResponseWriter.(http.Flusher)
	_, h := r.ResponseWriter.(http.Hijacker)
	_, rf := r.ResponseWriter.(io.ReaderFrom)
	_, p := r.ResponseWriter.(http.Pusher)
	const F, H, R, P = 1, 2, 4, 8
	switch bit(f, F) | bit(h, H) | bit(rf, R) | bit(p, P) {
	case F:
		return canF{r}
	case H:
		return canH{r}
	case R:
		return canR{r}
	case P:
		return canP{r}
	case F | H:
		return canFH{canF{r}}
	case F | R:
		return canFR{canF{r}}
	case F | P:
		return canFP{canF{r}}
	case H | R:
		return canHR{canH{r}}
	case H | P:
		return canHP{canH{r}}
	case R | P:
		return canRP{canR{r}}
	case F | H | R:
		return canFHR{canFH{canF{r}}}
	case F | H | P:
		return canFHP{canFH{canF{r}}}
	case F | R | P:
		return canFRP{canFR{canF{r}}}
	case H | R | P:
		return canHRP{canHR{canH{r}}}
	case F | H | R | P:
		return canFHRP{canFHR{canFH{canF{r}}}}
	}
	return r
}

func bit(set bool, b int) int {
	if set {
		return b
	}
	return 0
}
