package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Handler serves the probes. See the package comment for what they mean.
func (f *front) Handler() http.Handler {
	mux := http.NewServeMux()
	probe := func(path string, ok func(Status) bool) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			s := f.Status()
			f.answer(w, r, s, ok(s))
		})
	}
	ready := func(s Status) bool { return s.Ready }
	probe("/livez", func(s Status) bool { return s.Live })
	probe("/readyz", ready)
	probe("/healthz", ready)
	probe("/startupz", func(s Status) bool { return s.Started })
	mux.HandleFunc("GET /statusz", func(w http.ResponseWriter, r *http.Request) {
		s := f.Status()
		if !f.detailed(r) {
			s.Instance, s.Checks = Instance{Service: s.Instance.Service, Version: s.Instance.Version}, nil
		}
		writeJSON(w, "application/health+json", struct {
			Word string `json:"status"` // as draft-inadarei-api-health-check names it
			Status
		}{s.State.String(), s})
	})
	mux.HandleFunc("GET /statsz", func(w http.ResponseWriter, r *http.Request) {
		s := f.Stats()
		if !f.detailed(r) {
			s.Endpoints = nil
		}
		writeJSON(w, "application/json", s)
	})
	return mux
}

func (f *front) detailed(r *http.Request) bool { return f.o.details != nil && f.o.details(r) }

// answer writes one word, and with ?verbose, for those who may see it, a line
// for each check, as Kubernetes' own probes do.
func (f *front) answer(w http.ResponseWriter, r *http.Request, s Status, ok bool) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	word := "ok"
	if !ok {
		word = "failed"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if r.URL.Query().Has("verbose") && f.detailed(r) {
		for _, c := range s.Checks {
			mark := map[State]string{Pass: "+", Warn: "~", Fail: "-", Unknown: "?"}[c.State]
			fmt.Fprintf(w, "[%s]%s %s", mark, c.Name, c.State)
			if c.Error != "" {
				fmt.Fprintf(w, ": %s", c.Error)
			}
			io.WriteString(w, "\n")
		}
		fmt.Fprintf(w, "phase %s\n", s.Phase)
	}
	io.WriteString(w, word+"\n")
}

func writeJSON(w http.ResponseWriter, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.Encode(v) // a client that went away is nobody's error
}
