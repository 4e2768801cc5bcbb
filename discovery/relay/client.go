package relay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

const (
	answerTime = 5 * time.Second // for the head of an answer from one relay
	silence    = 2*beat + 5*time.Second
	maxLine    = 64 << 20 // of a set of instances
)

// get asks the relay that answered last, then the others.
func (d *driver) get(ctx context.Context, path string) (*http.Response, error) {
	first := d.current.Load()
	var errs []error
	for i := range d.bases {
		n := first + uint32(i)
		base := d.bases[int(n)%len(d.bases)]
		resp, err := d.ask(ctx, base+path)
		if err == nil {
			d.current.CompareAndSwap(first, n)
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = append(errs, fmt.Errorf("%s: %w", conn.Redact(base), err))
	}
	return nil, fault.Mark(fault.Unavailable, errors.Join(errs...))
}

// ask sends one request. The answer's body ends with ctx; its head has to come
// in time.
func (d *driver) ask(ctx context.Context, address string) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(answerTime, func() { cancel(fmt.Errorf("no answer within %v", answerTime)) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		cancel(nil)
		late.Stop()
		return nil, err
	}
	for k, v := range d.header {
		req.Header[k] = v
	}
	resp, err := d.client.Do(req)
	late.Stop()
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address, which may hold a password
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = body{resp.Body, cancel}
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		resp.Body.Close()
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
	return resp, nil
}

// body frees the request's context when it is closed.
type body struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b body) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}

func (d *driver) Ping(ctx context.Context) error {
	resp, err := d.get(ctx, "/ping")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (d *driver) Services(ctx context.Context) ([]string, error) {
	resp, err := d.get(ctx, "/services")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var names []string
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxLine)).Decode(&names); err != nil {
		return nil, fault.Mark(fault.Unavailable, err)
	}
	return names, nil
}

// Watch reads a stream until it ends or falls silent.
func (d *driver) Watch(ctx context.Context, service string, deliver func(discovery.Update)) error {
	resp, err := d.get(ctx, "/watch/"+service[strings.Index(service, "/")+1:])
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	quiet := time.AfterFunc(silence, func() { resp.Body.Close() })
	defer quiet.Stop()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for first := true; lines.Scan(); first = false {
		quiet.Reset(silence)
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fault.Mark(fault.Unavailable, err)
		}
		if !l.valid() {
			return fault.Markf(fault.Unavailable, "a line with %d of %d instances preserved, %d ms old", l.Preserved, len(l.Instances), l.Age)
		}
		if first && l.Preserved > 0 {
			// This process hasn't seen them live: it has to, to miss them.
			deliver(update(line{Instances: slices.Clone(l.Instances), Age: l.Age, Stale: l.Stale}, true))
		}
		deliver(update(l, first))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fault.Mark(fault.Unavailable, fmt.Errorf("the relay's stream ended: %w", err))
}

// update reads a line. What the relay keeps by self-preservation is missing
// here, too, and not for having deregistered. What the first line of a stream
// lacks may have deregistered meanwhile, or the relay may have started again.
func update(l line, first bool) discovery.Update {
	live := len(l.Instances) - l.Preserved
	expired := make(map[string]bool, l.Preserved)
	for _, in := range l.Instances[live:] {
		expired[in.ID] = true
	}
	u := discovery.Update{
		Instances: l.Instances[:live:live], Same: l.Same, Age: time.Duration(l.Age) * time.Millisecond,
		Fate: func(id string) discovery.Fate {
			switch {
			case expired[id]:
				return discovery.Expired
			case first:
				return discovery.Unknown
			}
			return discovery.Deregistered
		},
	}
	if l.Stale != "" {
		u.Stale = fault.Mark(fault.Unavailable, errors.New("relay: "+l.Stale))
	}
	return u
}
