package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	gosync "sync"
	"syscall"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/monitor"
)

// Run serves until ctx ends, SIGINT or SIGTERM comes, or a server fails, and then
// stops in order and closes every part. It runs once.
func (a *App) Run(ctx context.Context, all ...Server) error {
	if a.ran.Swap(true) || a.life.Closed() {
		return a.wrap("run", fault.Mark(ErrInvalid, errors.New("runs already, has run or was closed")))
	}
	ctx, quiet := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer quiet()
	var serving gosync.WaitGroup
	err := a.serve(ctx, all, &serving)
	quiet() // a second signal ends the process
	closing, cancel := context.WithTimeout(context.Background(), a.o.stop)
	defer cancel()
	lost := a.Close(closing)
	late := a.servers.shutdown(closing, a.guard, func(served) bool { return true }) // begun beside a Close of the program's own
	serving.Wait()
	for _, s := range all {
		if l := given(s); l != nil {
			_ = l.Close() // if it has not got so far
		}
	}
	return errors.Join(err, lost, late)
}

func (a *App) wrap(op string, err error) error {
	return fault.Wrap("platform", op, a.o.self.Service, err)
}

// serve returns nil when ctx ends, or the App is closed.
func (a *App) serve(ctx context.Context, all []Server, serving *gosync.WaitGroup) error {
	names, err := a.prepare(all)
	if err != nil {
		return a.wrap("run", err)
	}
	listeners, err := listen(ctx, all)
	if err != nil {
		return a.wrap("run", err)
	}
	failed := make(chan error, len(all))
	for i, s := range all {
		if a.o.ring != nil && names[i] == a.o.self.Service && plain(s) == nil {
			listeners[i] = a.o.ring.Listener(listeners[i])
		}
		a.servers.add(s, listeners[i])
		serving.Go(func() {
			err := a.guard("server", func() error { return s.Serve(listeners[i], a.wrapper, a.monitor) })
			if err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- failure(listeners[i], err)
			}
		})
		if listeners[i] != nil {
			a.Logger("platform").Info("serving", "address", listeners[i].Addr().String())
		}
	}
	a.monitor.SetPhase(monitor.Running)
	if err := a.register(ctx, names, listeners); err != nil {
		return a.wrap("run", err)
	}
	select {
	case <-ctx.Done():
		a.Logger("platform").Info("stopping", "reason", context.Cause(ctx).Error())
		return nil
	case <-a.life.Done():
		return nil
	case err := <-failed:
		return a.wrap("run", err)
	}
}

// failure says what ended: a server, or a job, which has no listener.
func failure(l net.Listener, err error) error {
	if l == nil {
		return fmt.Errorf("job: %w", err)
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// prepare looks at the servers, gives those of HTTP the operators' pages if no
// server of their own has them, and returns the names to register, "" for none.
func (a *App) prepare(all []Server) ([]string, error) {
	if len(all) == 0 {
		return nil, fault.Mark(ErrInvalid, errors.New("no server and no job"))
	}
	names := make([]string, len(all))
	taken := map[string]bool{}
	apart := false
	for i, s := range all {
		if err := check(s); err != nil {
			return nil, fault.Mark(ErrInvalid, err)
		}
		switch s := bare(s).(type) {
		case *opsServer:
			s.pages, apart = a.pages(), true
			continue
		case *job:
			s.guard = a.guard
			continue
		}
		names[i] = nameOf(s, a.o.self.Service)
		if taken[names[i]] {
			return nil, fault.Mark(ErrInvalid, fmt.Errorf("two servers of the service %q: name one with As", names[i]))
		}
		taken[names[i]] = true
	}
	if a.o.ring != nil {
		i := slices.Index(names, a.o.self.Service)
		if i < 0 {
			return nil, fault.Mark(ErrInvalid, errors.New("a ring, but no server under the service's own name"))
		}
		if h := plain(all[i]); h != nil {
			h.around = a.o.ring.Handler
		}
	}
	if !apart {
		for _, s := range all {
			if h := plain(s); h != nil {
				h.pages = a.pages()
			}
		}
	}
	return names, nil
}

// check reports what is wrong with a server.
func check(s Server) error {
	if fronts.Nil(s) {
		return errors.New("nil server")
	}
	switch s := s.(type) {
	case registered:
		if _, is := bare(s).(*job); is {
			return errors.New("a job has no name")
		}
		if s.service == "" {
			return errors.New("a server with an empty name")
		}
		return check(s.Server)
	case listening:
		if _, is := bare(s).(*job); is {
			return errors.New("a job has no listener")
		}
		if fronts.Nil(s.l) {
			return errors.New("nil listener")
		}
		return check(s.Server)
	case *job:
		if s.f == nil {
			return errors.New("nil job")
		}
	case *opsServer:
		return s.err
	case *httpServer:
		return s.err
	}
	return nil
}

// plain returns the server that HTTP made, or nil.
func plain(s Server) *httpServer {
	h, _ := bare(s).(*httpServer)
	return h
}

// listen listens on all addresses, or on none. A job has no listener.
func listen(ctx context.Context, all []Server) ([]net.Listener, error) {
	listeners := make([]net.Listener, len(all))
	for i, s := range all {
		if _, is := bare(s).(*job); is {
			continue
		}
		l, err := open(ctx, s)
		if err != nil {
			for _, l := range listeners[:i] {
				if l != nil {
					_ = l.Close()
				}
			}
			return nil, err
		}
		listeners[i] = l
	}
	return listeners, nil
}

// open returns the listener that a server was given, or one at its address.
func open(ctx context.Context, s Server) (net.Listener, error) {
	if l := given(s); l != nil {
		return l, nil
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", s.Address())
}

// given returns what Listener was given, or nil.
func given(s Server) net.Listener {
	switch around := s.(type) {
	case registered:
		return given(around.Server)
	case listening:
		return around.l
	}
	return nil
}

// register enters the instance once for each name. The wrapper keeps the entries'
// status what readiness is, and deregisters them when it closes.
func (a *App) register(ctx context.Context, names []string, listeners []net.Listener) error {
	for i, name := range names {
		if name == "" {
			continue
		}
		in := a.o.self
		in.Service, in.Address = name, listeners[i].Addr().String()
		if a.o.advertise != "" {
			_, port, err := net.SplitHostPort(in.Address)
			if err != nil {
				return err
			}
			in.Address = net.JoinHostPort(a.o.advertise, port)
		}
		r, err := a.discovery.Register(ctx, in)
		if err != nil && ctx.Err() != nil {
			return nil // it is to stop, and that is no failure
		}
		if errors.Is(err, discovery.ErrUnsupported) && a.o.ring == nil {
			// Somebody else enters instances there: Kubernetes, or who wrote the list.
			a.Logger("platform").Info("not registered: the registry is read-only", "service", name, "address", in.Address)
			continue
		}
		if err != nil {
			return err
		}
		if a.o.ring != nil && name == a.o.self.Service {
			a.own.Store(&r)
		}
		a.wrapper.AddRegistration(r)
	}
	return nil
}

// leave has other instances take over what the ring keeps in this one, while
// there is time.
func (a *App) leave(ctx context.Context) {
	own := a.own.Load()
	if own == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.stop/4)
	defer cancel()
	a.monitor.SetPhase(monitor.Draining)
	err := (*own).Update(ctx, func(in *discovery.Instance) { in.Status = discovery.Draining })
	err = errors.Join(err, a.guard("ring", func() error { return a.o.ring.Leave(ctx) }))
	if err != nil {
		a.Logger("platform").Warn("left the ring before others had everything", "error", err.Error())
	}
}
