package page

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"strings"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/monitor"
)

//go:embed page.html
var source string

// Page is the handler. It is safe for concurrent use.
type Page struct {
	o      options
	mo     monitor.Monitor
	life   *life.Life
	series series
	mux    *http.ServeMux
	html   []byte
}

// New returns a Page of what a monitor knows.
func New(mo monitor.Monitor, opts ...Option) (*Page, error) {
	o := options{access: func(*http.Request) Access { return Read }, title: "Platform"}
	if mo == nil {
		return nil, fault.New(ErrInvalid, "monitor/page", "new", "", "nil monitor")
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fault.New(ErrInvalid, "monitor/page", "new", "", "option %d is nil", i)
		}
		if err := opt(&o); err != nil {
			return nil, fault.Wrap("monitor/page", "new", "", fault.Mark(ErrInvalid, err))
		}
	}
	p := &Page{o: o, mo: mo, life: life.New(), mux: http.NewServeMux()}
	p.html = []byte(strings.ReplaceAll(source, "{{title}}", html.EscapeString(o.title)))
	p.series.byService = map[string]*history{}
	p.routes()
	p.life.Go(func(ctx context.Context) { p.series.run(ctx, mo) })
	return p, nil
}

// Close stops the sampling.
func (p *Page) Close() error { return p.life.Close(nil) }

func (p *Page) routes() {
	p.mux.HandleFunc("GET /{$}", p.page)
	for path, f := range map[string]func(*http.Request) (any, error){
		"overview": p.overview, "series": p.history, "router": p.routing, "traces": p.traces, "trace": p.oneTrace,
		"events": p.events, "config": p.configuration, "levels": p.levels,
	} {
		p.mux.HandleFunc("GET /api/"+path, func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, f) })
	}
	p.mux.HandleFunc("POST /api/levels", p.setLevel)
}

// ServeHTTP shows the page to those who may read it.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if p.o.access(r) == None {
		fail(w, http.StatusForbidden, "not allowed")
		return
	}
	p.mux.ServeHTTP(w, r)
}

func (p *Page) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(p.html)
}

// answer writes what f returns as JSON.
func (p *Page) answer(w http.ResponseWriter, r *http.Request, f func(*http.Request) (any, error)) {
	v, err := f(r)
	var bad *badRequest
	switch {
	case errors.As(err, &bad):
		fail(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, fault.NotFound), errors.Is(err, fault.Unsupported):
		fail(w, http.StatusNotFound, err.Error())
	case err != nil:
		fail(w, http.StatusBadGateway, err.Error())
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
}

func fail(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"error": why})
}

// badRequest is an error of whoever asked.
type badRequest struct{ error }
