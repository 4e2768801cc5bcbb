package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// Handler serves the probes. See the package comment for what they mean.
func (f *front) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, p := range map[string]probe{
		"/livez":    {func(s Status) bool { return s.Live }, func(p Probe, loop bool) bool { return loop }},
		"/readyz":   {func(s Status) bool { return s.Ready }, func(p Probe, loop bool) bool { return !loop && p != Info }},
		"/healthz":  {func(s Status) bool { return s.Ready }, func(p Probe, loop bool) bool { return !loop && p != Info }},
		"/startupz": {func(s Status) bool { return s.Started }, func(p Probe, loop bool) bool { return !loop && p == Startup }},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { f.probe(w, r, p) })
		mux.HandleFunc("GET "+path+"/{check...}", func(w http.ResponseWriter, r *http.Request) { f.probeOne(w, r, p) })
	}
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

// probe is one endpoint: what it asks, and of which checks and loops.
type probe struct {
	ok   func(Status) bool
	asks func(p Probe, loop bool) bool
}

// probe answers for all checks but those that ?exclude= names, which may be
// given several times. A name that is no check excludes nothing.
func (f *front) probe(w http.ResponseWriter, r *http.Request, p probe) {
	excluded := r.URL.Query()["exclude"]
	s, _ := f.judge(func(name string) bool { return !slices.Contains(excluded, name) }, false)
	f.answer(w, r, s, p.ok(s))
}

// probeOne answers for one check alone, whatever the phase.
func (f *front) probeOne(w http.ResponseWriter, r *http.Request, p probe) {
	check := r.PathValue("check")
	if !f.asked(check, p) {
		http.NotFound(w, r)
		return
	}
	s, well := f.judge(func(name string) bool { return name == check }, false)
	s.Ready = well
	f.answer(w, r, s, p.ok(s))
}

// asked reports whether the probe has such a check or loop.
func (f *front) asked(name string, p probe) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.checks[name]; r != nil && p.asks(r.check.Probe, false) {
		return true
	}
	return slices.ContainsFunc(f.loops, func(l *loop) bool { return l.name == name && p.asks(Info, true) })
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
	e.Encode(v) // a client that left is no error
}
