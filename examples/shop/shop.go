package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	monitorkv "github.com/micro/go-platform/monitor/kv"
	"github.com/micro/go-platform/router"
	routerconfig "github.com/micro/go-platform/router/config"
	"github.com/micro/go-platform/trace"
)

// services are what the shop consists of. Each runs one instance until its
// context ends.
var services = map[string]func(context.Context, *shop, instance) error{
	"frontend": runFrontend, "catalogue": runCatalogue, "cart": runCart, "orders": runOrders, "payment": runPayment,
}

// instance is one copy of a service.
type instance struct {
	service, id, version string
	listener             net.Listener
	ops                  net.Listener // of a frontend: what operators look at
}

// shop is what the instances of one process stand on.
type shop struct {
	options
	backends
	dir      string // of the temporary database
	logs     io.WriteCloser
	stores   []kv.KV
	issuer   *issuer.Issuer
	secrets  kv.KV
	statuses kv.KV
	settings store.Store
	config   config.Config
	spans    *trace.Store
}

func open(ctx context.Context, o options) (s *shop, err error) {
	s = &shop{options: o, spans: trace.NewStore(20000, time.Hour)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.options.db == "" {
		s.dir, err = os.MkdirTemp("", "shop")
		if err != nil {
			return s, err
		}
		s.options.db = "sqlite:" + filepath.Join(s.dir, "shop.db")
	}
	if o.logs != "" {
		s.logs, err = os.OpenFile(o.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return s, err
		}
	}
	err = s.choose(s.options)
	if err != nil {
		return s, err
	}
	s.statuses, err = s.store("shop-status")
	if err != nil {
		return s, err
	}
	err = s.openConfig(ctx)
	if err != nil {
		return s, err
	}
	return s, s.openAuth()
}

// store opens a part of the key-value store that the whole shop shares.
func (s *shop) store(namespace string) (kv.KV, error) {
	shared, err := kv.New(append([]kv.Option{kv.WithNamespace(namespace)}, s.backends.kv...)...)
	if err == nil {
		s.stores = append(s.stores, shared)
	}
	return shared, err
}

// app opens the parts of one instance. All of them say here what they stand on;
// more is what is special about a service.
func (s *shop) app(ctx context.Context, in instance, more ...platform.Option) (*platform.App, error) {
	auth, err := s.auth(ctx, in.service)
	if err != nil {
		return nil, err
	}
	var logs io.Writer = io.Discard
	if s.logs != nil {
		logs = s.logs
	}
	return platform.New(in.service, append([]platform.Option{
		platform.WithInstance(in.id), platform.WithVersion(cmp.Or(in.version, "1")), platform.WithStopTimeout(10 * time.Second),
		platform.WithLog(log.ToWriter(logs, log.JSON())),
		platform.WithTrace(trace.Memory(s.spans)),
		platform.WithMonitor(monitorkv.Backend(s.statuses)),
		platform.WithAuth(auth...),
		platform.WithRouter(router.WithBreakers(router.Breakers{}), router.WithRuleSource(routerconfig.Source(s.config, "router.rules"))),
		platform.WithDiscovery(s.backends.discovery...),
		platform.WithKV(append([]kv.Option{kv.WithNamespace("shop-" + in.service)}, s.backends.kv...)...),
		platform.WithSync(s.backends.sync...),
		platform.WithEvent(s.backends.event...),
		platform.WithDB(s.backends.db...),
	}, more...)...)
}

// alone runs one instance of one service: -service.
func (s *shop) alone(ctx context.Context, out io.Writer) error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	in := instance{service: s.service, id: cmp.Or(s.options.instance, s.service+"-1"), version: s.version, listener: l}
	say(out, "shop: %s at %s, one instance of %s; %s\n", in.id, l.Addr(), in.service, s.describe())
	if in.service == "frontend" {
		in.ops, err = net.Listen("tcp", s.ops)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		say(out, "for operators: http://%s/, its /metrics and /readyz\n", in.ops.Addr())
	}
	say(out, "Ctrl-C drains it and ends it.\n")
	return services[s.service](ctx, s, in)
}

func (s *shop) close() error {
	var errs []error
	if s.config != nil {
		errs = append(errs, s.config.Close())
	}
	if s.settings != nil {
		errs = append(errs, s.settings.Close())
	}
	for _, shared := range s.stores {
		errs = append(errs, shared.Close())
	}
	errs = append(errs, s.engines.Close())
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
