package page

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/source"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/trace"
)

// Page is the handler. It is safe for concurrent use.
type Page struct {
	o        options
	ask      asker
	mo       monitor.Monitor
	life     *life.Life
	series   series
	timeline timeline
	changes  changes
	writes   *shared[Moment]
	recent   *shared[trace.Trace]
	mux      *http.ServeMux
	html     document
	setting  sync.Mutex // one change of a level at a time
}

// New returns a Page of what a monitor knows.
func New(mo monitor.Monitor, opts ...Option) (*Page, error) {
	o := options{title: "Platform", source: source.Of, history: defaultHistory}
	if fronts.Nil(mo) {
		return nil, fault.New(monitor.ErrInvalid, "monitor/page", "new", "", "nil monitor")
	}
	if err := fronts.New("monitor/page", &o, opts); err != nil {
		return nil, err
	}
	p := &Page{
		o: o, mo: mo, life: life.New(), mux: http.NewServeMux(), html: newDocument(o.title),
		writes: newShared[Moment](versionsStand, versionsTime), recent: newShared[trace.Trace](tracesFor, tracesFor),
	}
	switch {
	case o.auth != nil && (o.access != nil || o.login != nil), o.access != nil && o.login != nil:
		return nil, fault.New(monitor.ErrInvalid, "monitor/page", "new", "", "more than one of WithAuth, WithLogin and WithAccess")
	case o.auth != nil:
		p.ask = byAuth(o.auth, mo.Status().Instance.Service)
	case o.login != nil:
		p.ask = byLogin(o.login, o.source)
	case o.access != nil:
		p.ask = byFunc(o.access)
	default:
		p.ask = byFunc(func(*http.Request) Access { return Read })
	}
	p.series.byService, p.series.limit, p.series.began = map[string]*history{}, o.history, time.Now()
	p.routes()
	p.life.Go(p.watch)
	if o.locks != nil {
		led := &leaders{line: &p.timeline}
		p.life.Go(func(ctx context.Context) { every(ctx, leadersEvery, func() { led.look(ctx, o.locks) }) })
	}
	if o.discovery != nil {
		p.life.Go(p.follow)
	}
	if o.config != nil {
		p.life.Go(func(ctx context.Context) { p.changes.run(ctx, o.config, &p.timeline) })
	}
	return p, nil
}

// watch samples, and notes what happened between two samples.
func (p *Page) watch(ctx context.Context) {
	seen := &notice{began: p.series.began, line: &p.timeline, services: map[string]*noted{}}
	routed := &ejections{line: &p.timeline, self: func() monitor.Instance { return p.mo.Status().Instance }}
	every(ctx, sampleEvery, func() {
		c, now := p.mo.Cluster(), time.Now()
		var views []monitor.View
		for _, service := range c.Services() {
			views = append(views, c.View(service))
		}
		p.series.sample(now, views)
		seen.look(now, views)
		if p.o.router != nil {
			routed.look(now, p.o.router)
		}
	})
}

// every calls f at once and then at each interval, until ctx ends, also when it
// panics: what it looks at may be the user's own.
func every(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		_ = fault.Guard(func() error { f(); return nil })
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Close stops the sampling.
func (p *Page) Close() error { return p.life.Close(nil) }

// answer is what an endpoint does. What it returns is sent as JSON.
type answer func(*http.Request) (any, error)

func (p *Page) routes() {
	p.mux.HandleFunc("GET /{$}", p.page)
	for path, f := range map[string]answer{
		"session": p.session, "overview": p.overview, "series": p.history, "map": p.graph, "timeline": p.moments, "search": p.find,
		"router":    needs("router", p.o.router != nil, p.routing),
		"traces":    needs("tracer", p.o.trace != nil, p.traces),
		"trace":     needs("tracer", p.o.trace != nil, p.oneTrace),
		"events":    needs("stream", p.o.events != nil, p.events),
		"config":    needs("config", p.o.config != nil, p.configuration),
		"documents": needs("store", p.o.documents != nil, p.documents),
		"versions":  needs("store", p.o.documents != nil, p.versions),
		"diff":      needs("store", p.o.documents != nil, p.diff),
		"locks":     needs("sync", p.o.locks != nil, p.locks),
		"levels":    needs("log", p.o.log != nil, p.levels),
	} {
		p.mux.HandleFunc("GET /api/"+path, func(w http.ResponseWriter, r *http.Request) { p.reply(w, r, Read, f) })
	}
	for path, f := range map[string]answer{
		"levels":   needs("log", p.o.log != nil, p.setLevel),
		"rollback": needs("store", p.o.documents != nil, p.rollback),
	} {
		p.mux.HandleFunc("POST /api/"+path, func(w http.ResponseWriter, r *http.Request) { p.reply(w, r, Write, f) })
	}
}

// needs is f where the part was given that it speaks of, else an answer that says
// so.
func needs(part string, given bool, f answer) answer {
	if given {
		return f
	}
	return func(*http.Request) (any, error) {
		return nil, fault.New(fault.NotFound, "monitor/page", "read", part, "the page was not given one")
	}
}

// ServeHTTP shows the page to those who may read it.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", p.html.policy)
	if p.o.foreign(r) {
		fail(w, &refusal{code: http.StatusMisdirectedRequest})
		return
	}
	p.mux.ServeHTTP(w, r)
}

func (p *Page) page(w http.ResponseWriter, r *http.Request) {
	if p.o.auth == nil { // with it the reader signs in on the page
		if _, err := p.ask(r, Read); err != nil {
			fail(w, err)
			return
		}
	}
	send(w, r, "text/html; charset=utf-8", p.html.html)
}

// reply answers a request if whoever sent it has the access wanted. One that
// changes something must come from a page of the same origin.
func (p *Page) reply(w http.ResponseWriter, r *http.Request, want Access, f answer) {
	if want == Write && http.NewCrossOriginProtection().Check(r) != nil {
		fail(w, &refusal{code: http.StatusForbidden})
		return
	}
	if _, err := p.ask(r, want); err != nil {
		fail(w, err)
		return
	}
	v, err := f(r)
	if err != nil {
		fail(w, err)
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, err)
		return
	}
	send(w, r, "application/json", append(b, '\n'))
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusBadGateway
	_, bad := errors.AsType[*badRequest](err)
	no, refused := errors.AsType[*refusal](err)
	switch {
	case refused:
		code = no.code
		if no.challenge != "" {
			w.Header().Set("WWW-Authenticate", no.challenge)
		}
		if no.wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(no.wait.Seconds()))))
		}
	case bad, isOneOf(err, monitor.ErrInvalid, config.ErrInvalid, store.ErrInvalid, event.ErrInvalid, trace.ErrInvalid, log.ErrInvalid):
		code = http.StatusBadRequest
	case isOneOf(err, errNothing, config.ErrNotFound, store.ErrNotFound, event.ErrNotFound, event.ErrUnsupported, trace.ErrUnsupported):
		code = http.StatusNotFound
	case isOneOf(err, errTaken, store.ErrConflict):
		code = http.StatusConflict
	case isOneOf(err, config.ErrDenied, store.ErrDenied):
		code = http.StatusForbidden
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// What the page itself doesn't have, or has already.
var (
	errNothing = fault.Of("monitor", fault.NotFound)
	errTaken   = fault.Of("monitor", fault.Conflict)
)

func isOneOf(err error, sentinels ...error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}

// badRequest is an error of whoever asked.
type badRequest struct{ error }
