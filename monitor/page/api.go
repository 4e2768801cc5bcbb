package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
)

// Overview is what api/overview answers.
type Overview struct {
	Now      time.Time       `json:"now"`
	Self     monitor.Status  `json:"self"`
	Services []monitor.View  `json:"services"`
	Registry []Registered    `json:"registry,omitempty"` // with WithDiscovery
	Routed   []string        `json:"routed,omitempty"`   // with WithRouter: the services that this process calls
	History  History         `json:"history"`            // how far back series reach
	Parts    map[string]bool `json:"parts"`              // which of router, traces, events, config, documents, locks, levels there are
}

// Registered is what the registry says of a service.
type Registered struct {
	Service   string               `json:"service"`
	State     string               `json:"state"` // cold, live or stale
	AsOf      time.Time            `json:"asOf,omitzero"`
	Preserved int                  `json:"preserved,omitempty"` // how many expired and are kept all the same
	Problem   string               `json:"problem,omitempty"`
	Instances []discovery.Instance `json:"instances"`
}

func (p *Page) overview(*http.Request) (any, error) {
	c := p.mo.Cluster()
	o := Overview{Now: time.Now(), Self: p.mo.Status(), Services: []monitor.View{}, History: p.series.kept(), Parts: map[string]bool{
		"router": p.o.router != nil, "traces": p.o.trace != nil, "events": p.o.events != nil, "config": p.o.config != nil,
		"documents": p.o.documents != nil, "locks": p.o.locks != nil, "levels": p.o.log != nil,
	}}
	if p.o.router != nil {
		o.Routed = p.o.router.Services()
	}
	for _, service := range c.Services() {
		o.Services = append(o.Services, c.View(service))
		if p.o.discovery == nil {
			continue
		}
		if s, ok := p.o.discovery.Lookup(service); ok {
			r := Registered{Service: service, State: s.State.String(), AsOf: s.AsOf, Preserved: s.Preserved, Instances: s.Instances}
			if s.Err != nil {
				r.Problem = s.Err.Error()
			}
			o.Registry = append(o.Registry, r)
		}
	}
	return o, nil
}

// follow makes discovery keep what overview looks up.
func (p *Page) follow(ctx context.Context) {
	every(ctx, sampleEvery, func() {
		for _, service := range p.mo.Cluster().Services() {
			if _, ok := p.o.discovery.Lookup(service); !ok && service != "" {
				wait, cancel := context.WithTimeout(ctx, sampleEvery)
				p.o.discovery.Get(wait, service) // asked again as long as it fails
				cancel()
			}
		}
	})
}

func (p *Page) routing(r *http.Request) (any, error) {
	service := r.URL.Query().Get("service")
	if service == "" {
		return nil, &badRequest{errors.New("which service?")}
	}
	labels := map[string]string{}
	for k, v := range r.URL.Query() {
		if name, ok := strings.CutPrefix(k, "label."); ok {
			labels[name] = v[0]
		}
	}
	return p.o.router.Explain(service, router.Labels(labels)), nil
}

// limit reads how many results are wanted, 1000 at the most.
func limit(r *http.Request, def int) (int, error) {
	s := r.URL.Query().Get("limit")
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1000 {
		return 0, &badRequest{fmt.Errorf("limit %q, want 1 to 1000", s)}
	}
	return n, nil
}
