package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/body"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
)

// Allow says who may read or write a namespace: nil lets the request through,
// and author is then noted with what it writes. Errors are answered by
// auth.WriteError: auth.ErrUnauthenticated with 401, auth.ErrDenied with 403.
// What is read holds secrets in clear.
type Allow func(r *http.Request, namespace string, write bool) (author string, err error)

// Authorize asks a for each request: for the action "read" or "write" of the
// service on the resource "config/" and the namespace. The author is the
// caller's subject.
func Authorize(a auth.Auth, service string) Allow {
	return func(r *http.Request, namespace string, write bool) (string, error) {
		action := "read"
		if write {
			action = "write"
		}
		ctx, err := auth.AuthorizeHTTP(a, r, auth.Request{Service: service, Action: action, Resource: "config/" + namespace})
		if err != nil {
			return "", err
		}
		if t, ok := auth.FromContext(ctx); ok {
			return t.Subject, nil
		}
		return "", nil
	}
}

// Option is an option of New.
type Option func(*Handler) error

// WithWaiters is how many requests may wait for changes at the same time, events
// included. The default is 1000.
func WithWaiters(n int) Option {
	return func(h *Handler) error {
		if n < 1 {
			return fault.Markf(fault.Invalid, "WithWaiters: %d is not positive", n)
		}
		h.most = n
		return nil
	}
}

// Handler serves a store. It is safe for concurrent use. Mount it behind
// http.StripPrefix: what is left of the path is the namespace.
type Handler struct {
	store store.Store
	allow Allow
	most  int
	life  *life.Life
	cross *http.CrossOriginProtection

	mu      sync.Mutex
	waiting int
	topics  map[string]*topic
}

// New returns a handler of st. allow is asked before every request.
func New(st store.Store, allow Allow, opts ...Option) (*Handler, error) {
	h := &Handler{store: st, allow: allow, most: 1000, life: life.New(), cross: http.NewCrossOriginProtection(), topics: map[string]*topic{}}
	bad := func(err error) (*Handler, error) { return nil, fault.Wrap("config/store/web", "new", "", err) }
	if fronts.Nil(st) || allow == nil {
		return bad(fault.Markf(fault.Invalid, "no store, or nothing that says who may read"))
	}
	if err := fronts.Apply(h, opts); err != nil {
		return bad(err)
	}
	return h, nil
}

// Close ends what waits. Later requests are answered with 503.
func (h *Handler) Close() error { return h.life.Close(nil) }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.life.Enter() {
		fail(w, fault.Closed)
		return
	}
	defer h.life.Leave()
	namespace := strings.TrimPrefix(r.URL.Path, "/")
	if err := h.check(w, r, namespace); err != nil {
		return
	}
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	author, err := h.allow(r, namespace, write)
	if err != nil {
		auth.WriteError(w, err)
		return
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Add("Vary", "Accept, Prefer")
	q := r.URL.Query()
	switch {
	case write:
		h.write(w, r, namespace, author)
	case q.Has("layers"):
		h.layers(w, r, namespace)
	case q.Has("history"):
		h.history(w, r, namespace)
	default:
		h.document(w, r, namespace, q)
	}
}

// check answers requests that no document can be meant by.
func (h *Handler) check(w http.ResponseWriter, r *http.Request, namespace string) error {
	const methods = "GET, HEAD, PUT, PATCH, DELETE"
	if !slices.Contains(strings.Split(methods, ", "), r.Method) {
		w.Header().Set("Allow", methods)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return errors.New("method")
	}
	if err := h.cross.Check(r); err != nil {
		http.Error(w, "cross-origin request", http.StatusForbidden)
		return err
	}
	_, err := config.Namespaces(strings.Split(namespace, "/")...)
	if err == nil && len(namespace) > 200 {
		err = errors.New("namespace of more than 200 bytes")
	}
	if err != nil {
		http.Error(w, "no name of a document", http.StatusBadRequest)
	}
	return err
}

func (h *Handler) document(w http.ResponseWriter, r *http.Request, namespace string, q map[string][]string) {
	var d store.Document
	var err error
	if v := q["version"]; v != nil {
		n, bad := strconv.ParseUint(v[0], 10, 64)
		if bad != nil || n == 0 {
			http.Error(w, "version is a number from 1", http.StatusBadRequest)
			return
		}
		d, err = h.store.At(r.Context(), namespace, n)
		if err == nil && d.Deleted {
			err = fault.NotFound
		}
	} else {
		d, err = h.store.Get(r.Context(), namespace)
	}
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, r, tag(d.Number), d.Bytes())
}

func (h *Handler) history(w http.ResponseWriter, r *http.Request, namespace string) {
	all := []store.Version{}
	for v, err := range h.store.History(r.Context(), store.Query{Namespace: namespace, Limit: 100}) {
		if err != nil {
			fail(w, err)
			return
		}
		all = append(all, v)
	}
	writeJSON(w, all)
}

// write applies a PUT, PATCH or DELETE.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, namespace, author string) {
	var opts []store.WriteOption
	if author != "" {
		opts = append(opts, store.Author(author))
	}
	if comment := r.URL.Query().Get("comment"); comment != "" {
		opts = append(opts, store.Comment(comment))
	}
	condition, err := conditionOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if condition != nil {
		opts = append(opts, store.IfVersion(*condition))
	}
	read := body.Bound(w, r, config.MaxSize, 30*time.Second)
	data, err := io.ReadAll(r.Body)
	if err != nil {
		kind := fault.Invalid
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			kind = fault.TooLarge
		}
		fail(w, kind)
		return
	}
	read()
	var v store.Version
	switch r.Method {
	case http.MethodPut:
		v, err = h.store.Put(r.Context(), namespace, json.RawMessage(data), opts...)
	case http.MethodPatch:
		v, err = h.store.Patch(r.Context(), namespace, data, opts...)
	case http.MethodDelete:
		v, err = h.store.Delete(r.Context(), namespace, opts...)
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("ETag", tag(v.Number))
	writeJSON(w, v)
}

// conditionOf reads If-Match and If-None-Match of a write, nil if it has none.
func conditionOf(r *http.Request) (*uint64, error) {
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case match != "" && none != "":
		return nil, errors.New("If-Match and If-None-Match")
	case none != "" && none != "*":
		return nil, errors.New("If-None-Match of a write is *")
	case none == "*":
		return new(uint64), nil
	case match == "":
		return nil, nil
	}
	n, err := strconv.ParseUint(strings.Trim(match, `"`), 10, 64)
	if err != nil || tag(n) != match {
		return nil, errors.New("If-Match is the one ETag that a read gave")
	}
	return &n, nil
}

func tag(version uint64) string { return fmt.Sprintf(`"%d"`, version) }

// matches reports whether If-None-Match of a read has the tag.
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// answer sends a document, or 304 to who has it.
func answer(w http.ResponseWriter, r *http.Request, tag string, data []byte) {
	w.Header().Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	send(w, data)
}

func send(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(data)
}

func writeJSON(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		fail(w, err)
		return
	}
	send(w, data)
}

// statuses are those of the kinds of errors.
var statuses = []struct {
	kind   error
	status int
}{
	{fault.NotFound, http.StatusNotFound}, {fault.Conflict, http.StatusPreconditionFailed}, {fault.TooLarge, http.StatusRequestEntityTooLarge},
	{fault.Denied, http.StatusUnprocessableEntity}, {fault.Invalid, http.StatusBadRequest},
	{fault.UnknownOutcome, http.StatusGatewayTimeout},
}

// fail answers with the status of an error. What is the caller's to mend is told;
// what concerns the engine is not.
func fail(w http.ResponseWriter, err error) {
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			text := http.StatusText(s.status)
			if s.status == http.StatusBadRequest || s.status == http.StatusUnprocessableEntity {
				text = err.Error()
			}
			http.Error(w, text, s.status)
			return
		}
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}
