package relay

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
)

// Handler serves d's view of the registry:
//
//	GET services          the names, as JSON
//	GET watch/<service>   a stream of JSON, one object a line
//	GET ping              204 once d can read
func Handler(d discovery.Discovery) http.Handler {
	h := handler{d}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /services", h.services)
	mux.HandleFunc("GET /watch/{service}", h.watch)
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

type handler struct{ d discovery.Discovery }

func (h handler) services(w http.ResponseWriter, r *http.Request) {
	names, err := h.d.Services(r.Context())
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(names) // a reader that is gone has no use for an error
}

// watch sends a line for every snapshot, and signs of life between them.
func (h handler) watch(w http.ResponseWriter, r *http.Request) {
	service := r.PathValue("service")
	first, err := h.d.Get(r.Context(), service)
	if err != nil {
		refuse(w, err)
		return
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
		defer close(done)
		for s, err := range h.d.Watch(r.Context(), service) {
			if err != nil {
				return
			}
			select {
			case changes <- s:
			case <-gone:
				return
			}
		}
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
	// A reader that takes nothing must not hold a goroutine for ever.
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
