package relay

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// HandlerOption configures Handler.
type HandlerOption func(*handler) error

// WithMaxStreams bounds how many streams are open at once; further readers get
// 503 and try another relay. The default is 10 000.
func WithMaxStreams(n int) HandlerOption {
	return func(h *handler) error { return fronts.AtLeast("streams", n, 1, &h.maxStreams) }
}

// WithMaxUnknown bounds how many services that have no instance are followed
// for readers at once; a reader of one more gets 429. Without a bound whoever
// reaches the handler could have the registry watched for any number of names.
// The default is 256.
func WithMaxUnknown(n int) HandlerOption {
	return func(h *handler) error { return fronts.AtLeast("unknown services", n, 1, &h.maxUnknown) }
}

// Handler serves d's view of the registry:
//
//	GET services          the names, as JSON
//	GET watch/<service>   a stream of JSON, one object a line
//	GET ping              204 once d can read
//
// It does no authentication.
func Handler(d discovery.Discovery, opts ...HandlerOption) (http.Handler, error) {
	h := &handler{d: d, maxStreams: 10_000, maxUnknown: 256, asking: make(chan struct{}, 64), unknown: map[string]int{}}
	if fronts.Nil(d) {
		return nil, fault.New(fault.Invalid, "discovery/relay", "new", "", "nil discovery")
	}
	if err := fronts.New("discovery/relay", h, opts); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /services", h.services)
	mux.HandleFunc("GET /watch/{service}", h.watch)
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux, nil
}

type handler struct {
	d          discovery.Discovery
	maxStreams int
	maxUnknown int
	asking     chan struct{} // holds a token for each question to the registry

	mu      sync.Mutex
	streams int
	unknown map[string]int // open streams of services without an instance, by name
}

// begin reserves a stream; end gives it back.
func (h *handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= h.maxStreams {
		return false
	}
	h.streams++
	return true
}

func (h *handler) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
}

// follow reserves the following of a service without an instance; unfollow
// gives it back.
func (h *handler) follow(service string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unknown[service] == 0 && len(h.unknown) >= h.maxUnknown {
		return false
	}
	h.unknown[service]++
	return true
}

func (h *handler) unfollow(service string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unknown[service]--
	if h.unknown[service] == 0 {
		delete(h.unknown, service)
	}
}

// get reads a service; one that nobody has asked for before costs a question.
func (h *handler) get(ctx context.Context, service string) (s discovery.Snapshot, err error) {
	if _, ok := h.d.Lookup(service); ok {
		return h.d.Get(ctx, service)
	}
	err = h.question(ctx, func() error {
		var err error
		s, err = h.d.Get(ctx, service)
		return err
	})
	return s, err
}

// question asks the registry, at most 64 times at once.
func (h *handler) question(ctx context.Context, ask func() error) error {
	select {
	case h.asking <- struct{}{}:
		defer func() { <-h.asking }()
		return ask()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *handler) services(w http.ResponseWriter, r *http.Request) {
	var names []string
	err := h.question(r.Context(), func() (err error) {
		names, err = h.d.Services(r.Context())
		return err
	})
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(names) // a reader that is gone has no use for an error
}

// watch sends a line for every snapshot, and signs of life between them.
func (h *handler) watch(w http.ResponseWriter, r *http.Request) {
	service := r.PathValue("service")
	if !h.begin() {
		http.Error(w, "too many streams", http.StatusServiceUnavailable)
		return
	}
	defer h.end()
	first, err := h.get(r.Context(), service)
	if err != nil {
		refuse(w, err)
		return
	}
	if len(first.Instances) == 0 {
		if !h.follow(service) {
			http.Error(w, "too many services without an instance", http.StatusTooManyRequests)
			return
		}
		defer h.unfollow(service)
	}
	out := stream{w: http.NewResponseController(w), json: json.NewEncoder(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep lines back
	if out.send(full(first)) != nil {
		return
	}
	changes := make(chan discovery.Snapshot)
	gone := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done) // also after a panic: the reader asks again
		_ = fault.Guard(func() error {
			for s, err := range h.d.Watch(r.Context(), service) {
				if err != nil {
					return err
				}
				select {
				case changes <- s:
				case <-gone:
					return nil
				}
			}
			return nil
		})
	}()
	defer func() { close(gone); <-done }()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for last := first.Revision; ; {
		select {
		case s := <-changes:
			if s.Revision == last {
				continue
			}
			last = s.Revision
			err = out.send(full(s))
		case <-ticker.C:
			s, _ := h.d.Lookup(service)
			err = out.send(line{Same: true, Age: age(s), Stale: reason(s)})
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}

// stream writes lines that must get out at once.
type stream struct {
	w    *http.ResponseController
	json *json.Encoder
}

func (s stream) send(l line) error {
	// A reader that takes nothing must not hold a goroutine indefinitely.
	if err := s.w.SetWriteDeadline(time.Now().Add(2 * beat)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if err := s.json.Encode(l); err != nil {
		return err
	}
	return s.w.Flush()
}

func full(s discovery.Snapshot) line {
	return line{Instances: s.Instances, Preserved: s.Preserved, Age: age(s), Stale: reason(s)}
}

// age is 0 while the registry keeps the relay up to date.
func age(s discovery.Snapshot) int64 {
	if s.State == discovery.Live {
		return 0
	}
	return s.Age().Milliseconds()
}

func reason(s discovery.Snapshot) string {
	switch {
	case s.State == discovery.Live:
		return ""
	case s.Err != nil:
		return s.Err.Error()
	}
	return s.State.String()
}

func refuse(w http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	if errors.Is(err, discovery.ErrInvalid) {
		code = http.StatusBadRequest
	}
	http.Error(w, strings.ReplaceAll(err.Error(), "\n", " "), code)
}
