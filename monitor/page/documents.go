package page

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
)

func (p *Page) documents(r *http.Request) (any, error) {
	names, err := p.o.documents.Namespaces(r.Context())
	if names == nil {
		names = []string{}
	}
	return names, err
}

// versions lists a document's history, newest first.
func (p *Page) versions(r *http.Request) (any, error) {
	q := store.Query{Namespace: r.URL.Query().Get("namespace")}
	var err error
	q.Limit, err = limit(r, 100)
	if err != nil {
		return nil, err
	}
	if q.Namespace == "" {
		return nil, &badRequest{fmt.Errorf("which namespace?")}
	}
	out := []store.Version{}
	for v, err := range p.o.documents.History(r.Context(), q) {
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// number reads a version; 0 is the newest.
func number(r *http.Request, name string) (uint64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, &badRequest{fmt.Errorf("%s %q, want the number of a version", name, s)}
	}
	return n, nil
}

// diff tells what two versions of a document differ in, the newest if none is
// named. From "none" is from nothing.
func (p *Page) diff(r *http.Request) (any, error) {
	namespace := r.URL.Query().Get("namespace")
	to, err := number(r, "to")
	if err != nil {
		return nil, err
	}
	if r.URL.Query().Get("from") == "none" {
		d, err := p.o.documents.At(r.Context(), namespace, to)
		if err != nil {
			return nil, err
		}
		return differences(config.Diff(config.Value{}, d.Get(""))), nil
	}
	from, err := number(r, "from")
	if err != nil {
		return nil, err
	}
	all, err := p.o.documents.Diff(r.Context(), namespace, from, to)
	if err != nil {
		return nil, err
	}
	return differences(all), nil
}

// rollback makes a new version that is equal to an old one, if the newest is
// still the one that its reader saw.
func (p *Page) rollback(r *http.Request) (any, error) {
	to, err := number(r, "to")
	if err != nil {
		return nil, err
	}
	seen, err := number(r, "newest")
	if err != nil {
		return nil, err
	}
	if to == 0 || seen == 0 {
		return nil, &badRequest{fmt.Errorf("to and newest are needed")}
	}
	user, err := p.ask(r, Write)
	if err != nil {
		return nil, err
	}
	if user == "" {
		user = "page"
	}
	v := r.URL.Query()
	defer p.writes.forget() // who rolls back looks at the timeline next
	return p.o.documents.Rollback(r.Context(), v.Get("namespace"), to, store.Author(user), store.Comment(v.Get("comment")), store.IfVersion(seen))
}
