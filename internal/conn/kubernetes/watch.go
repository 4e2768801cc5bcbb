package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// How long one watch lasts, by the server's clock. Where the transport does not
// notice a silent connection the end of the watch is the sign of life.
const (
	watchTime      = 5 * time.Minute // and up to as much more, so that not all end at once
	watchTimeBlind = 20 * time.Second
	// watchGrace is how long after its time a watch that has not ended counts as
	// dead, and how long the first answer may take.
	watchGrace = 5 * time.Second
	// maxEvent bounds one event: etcd takes objects of 1.5 MiB.
	maxEvent = 8 << 20
)

// event is a line of a watch.
type event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

var errSilent = fault.Markf(fault.Unavailable, "the watch is silent")

// stream makes one watch and calls each for every event, until it returns an
// error or the watch ends. The error is nil if the server ended it in good
// order. more says that the next event is there already.
func (c *Conn) stream(parent context.Context, r Resource, s Selector, version string, each func(e event, more bool) error) error {
	lasts := watchTimeBlind
	if c.pings && !c.blind.Load() {
		lasts = watchTime + rand.N(watchTime)
	}
	q := s.query()
	q.Set("watch", "true")
	q.Set("allowWatchBookmarks", "true")
	q.Set("resourceVersion", version)
	q.Set("timeoutSeconds", strconv.Itoa(int(lasts.Seconds())))

	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	silent := time.AfterFunc(watchGrace, func() { cancel(errSilent) })
	defer silent.Stop()
	resp, err := c.ask(ctx, request{method: http.MethodGet, path: r.path(""), query: q, accept: r.accept("PartialObjectMetadata")})
	if err != nil {
		return because(parent, ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, err := refused(resp, false)
		return err
	}
	silent.Reset(lasts + watchGrace)
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := readLine(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return because(parent, ctx, err)
		}
		e, err := parseEvent(line)
		if err != nil {
			return fault.Mark(fault.Unavailable, fmt.Errorf("the watch: %w", err))
		}
		err = each(e, whole(lines))
		if err != nil {
			return err
		}
	}
}

// parseEvent splits a line. The API server writes type and object in this order,
// and what is then the object is read once, by who knows its type.
func parseEvent(line []byte) (e event, err error) {
	line = bytes.TrimSpace(line)
	rest, ok := bytes.CutPrefix(line, []byte(`{"type":"`))
	kind, object, found := bytes.Cut(rest, []byte(`","object":`))
	if ok && found && len(kind) < 20 && bytes.HasSuffix(object, []byte("}")) {
		return event{Type: string(kind), Object: object[:len(object)-1]}, nil
	}
	return e, json.Unmarshal(line, &e)
}

// whole reports whether there is a line that can be read without waiting.
func whole(r *bufio.Reader) bool {
	there, _ := r.Peek(r.Buffered())
	return bytes.IndexByte(there, '\n') >= 0
}

// because prefers why the watch was ended over what that made of a read.
func because(parent, ctx context.Context, err error) error {
	if parent.Err() != nil {
		return parent.Err()
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if fault.KindOf(err) == nil {
		return fault.Mark(fault.Unavailable, err)
	}
	return err
}

// readLine reads one line, which is valid until the next call. Half a line at
// the end is an error.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.ReadSlice('\n')
		if len(long)+len(line) > maxEvent {
			return nil, fmt.Errorf("an event of more than %d MiB", maxEvent>>20)
		}
		long = append(long, line...)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return long, err
}

// settle is how long a watch that ends at once is not made again.
var settle = backoff.Policy{Min: 100 * time.Millisecond, Max: 5 * time.Second}
