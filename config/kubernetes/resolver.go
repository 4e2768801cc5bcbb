package kubernetes

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/config"
	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/watch"
)

// Resolver resolves references to Secrets for config.WithResolver:
//
//	r := kubernetes.NewResolver(e) // e from engine/kubernetes
//	defer r.Close()
//	config.New(config.WithResolver("kubernetes", r, config.ResolveEvery(time.Second)), …)
//
// A reference is "NAME#KEY", a Secret in the engine's namespace and one of its
// keys, or "NAMESPACE/NAME#KEY". The value is text, without one newline at its
// end.
//
// Each Secret that is referred to is watched, so resolving it again is a read of
// memory, and a rotation is seen as soon as ResolveEvery asks. While the API
// server can't be asked the last value is served for a minute; then Resolve says
// so, and config keeps what it has. It takes the verbs get, list and watch; with
// get alone the API server is asked each time.
type Resolver struct {
	connect func() (*kubernetes.Conn, error)
	life    *life.Life

	mu  sync.Mutex
	all map[where]*watched
}

// NewResolver returns a resolver over e, which Close leaves open.
func NewResolver(e *engine.Engine) *Resolver {
	return &Resolver{connect: e.Conn, life: life.New(), all: map[where]*watched{}}
}

// Close ends the watches. References can't be resolved after it.
func (r *Resolver) Close() error { return r.life.Close(nil) }

// where is a Secret.
type where struct{ namespace, name string }

// watched is a Secret that is followed for as long as somebody asks.
type watched struct {
	unwant context.CancelFunc
	first  chan struct{} // closed once known, or when the first watch failed
	asked  time.Time     // guarded by Resolver.mu

	mu    sync.Mutex
	state *object   // nil: there is none
	known bool      // state is what a watch told
	since time.Time // when the watch failed; zero: it runs
}

const (
	// unwatchAfter is how long a Secret is followed that nobody asks for, while
	// others are asked for.
	unwatchAfter = 5 * time.Minute
	// believe is how long what was seen last is served without a watch.
	believe = time.Minute
)

// Resolve returns the value of a reference.
func (r *Resolver) Resolve(ctx context.Context, ref string) (string, error) {
	value, err := r.resolve(ctx, ref)
	return value, fault.Adopt("config", err)
}

func (r *Resolver) resolve(ctx context.Context, ref string) (string, error) {
	at, key, err := parse(ref)
	if err != nil {
		return "", err
	}
	if r.life.Closed() {
		return "", config.ErrClosed
	}
	c, err := r.connect()
	if err != nil {
		return "", err
	}
	if at.namespace == "" {
		at.namespace = c.Namespace()
	}
	o, err := r.secret(ctx, c, at)
	if err != nil {
		return "", err
	}
	return valueOf(o, at, key)
}

// parse reads "namespace/name#key".
func parse(ref string) (at where, key string, err error) {
	object, key, ok := strings.Cut(ref, "#")
	namespace, name, both := strings.Cut(object, "/")
	if !both {
		namespace, name = "", object
	}
	if !ok || key == "" || strings.ContainsAny(key, "#/") {
		return at, "", fault.Markf(config.ErrInvalid, "want SECRET#KEY or NAMESPACE/SECRET#KEY")
	}
	if both {
		if err := kubernetes.ValidNamespace(namespace); err != nil {
			return at, "", fault.Mark(config.ErrInvalid, err)
		}
	}
	if err := kubernetes.ValidName(name); err != nil {
		return at, "", fault.Mark(config.ErrInvalid, err)
	}
	return where{namespace, name}, key, nil
}

func valueOf(o *object, at where, key string) (string, error) {
	if o == nil {
		return "", fault.Markf(config.ErrNotFound, "no Secret %s in the namespace %s", at.name, at.namespace)
	}
	if _, ok := o.Data[key]; !ok {
		return "", fault.Markf(config.ErrNotFound, "the Secret %s/%s has no key %s", at.namespace, at.name, key)
	}
	b, err := kinds["secret"].value(o, key)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// secret returns a Secret from its watch, which it begins, or by asking for it.
func (r *Resolver) secret(ctx context.Context, c *kubernetes.Conn, at where) (*object, error) {
	w, err := r.watch(c, at)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.first:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	o, fresh := w.state, w.known && (w.since.IsZero() || time.Since(w.since) < believe)
	w.mu.Unlock()
	if fresh {
		return o, nil
	}
	o, err = kubernetes.Get[object](ctx, c, kinds["secret"].resource.In(at.namespace), at.name)
	if errors.Is(err, fault.NotFound) {
		return nil, nil
	}
	return o, err
}

// watch returns the watch of a Secret.
func (r *Resolver) watch(c *kubernetes.Conn, at where) (*watched, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, w := range r.all {
		if other != at && now.Sub(w.asked) > unwatchAfter {
			w.unwant()
			delete(r.all, other)
		}
	}
	w := r.all[at]
	if w == nil {
		ctx, unwant := context.WithCancel(r.life.Context())
		w = &watched{unwant: unwant, first: make(chan struct{})}
		if !r.life.Go(func(context.Context) { r.follow(ctx, c, at, w) }) {
			unwant()
			return nil, config.ErrClosed
		}
		r.all[at] = w
	}
	w.asked = now
	return w, nil
}

// follow keeps w up to date until nobody has asked for a while.
func (r *Resolver) follow(ctx context.Context, c *kubernetes.Conn, at where, w *watched) {
	defer w.unwant()
	answered := sync.OnceFunc(func() { close(w.first) })
	defer answered()
	failed := func(error) {
		w.mu.Lock()
		if w.since.IsZero() {
			w.since = time.Now()
		}
		w.mu.Unlock()
		answered()
	}
	watch.Follow(ctx, watch.Options{OnError: failed}, func(ctx context.Context, _ int, progress func(int)) error {
		return follow(ctx, c, kinds["secret"].resource.In(at.namespace), at.name, func(o *object) {
			progress(0)
			w.mu.Lock()
			w.state, w.known, w.since = o, true, time.Time{}
			w.mu.Unlock()
			answered()
		})
	})
}
