package conn_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/event"
	eventredis "github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	syncredis "github.com/micro/go-platform/sync/redis"
	goredis "github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	payload     = "the-payload-nobody-else-reads"
	consulToken = "8a2f0c1e-6b1f-4c0f-9d3a-hunter2hunte" // Consul takes any text
)

// wire is a proxy that records what passes, both ways.
type wire struct {
	net.Listener
	wg    stdsync.WaitGroup
	mu    stdsync.Mutex
	bytes strings.Builder
}

func newWire(t *testing.T, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l}
	w.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.wg.Go(func() { w.pass(c, to) })
		}
	})
	t.Cleanup(func() { l.Close(); w.wg.Wait() })
	return w
}

func (w *wire) pass(c net.Conn, to string) {
	defer c.Close()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(s, io.TeeReader(c, w))
		s.Close()
	}()
	_, _ = io.Copy(c, io.TeeReader(s, w))
	c.Close()
	<-done
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes.Write(p)
}

func (w *wire) seen(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	encoded := base64.StdEncoding.EncodeToString([]byte(text[:len(text)/3*3])) // as Consul sends values
	return strings.Contains(w.bytes.String(), text) || strings.Contains(w.bytes.String(), encoded)
}

// vendor is a real server with users and, with certs, TLS.
type vendor struct {
	name  string
	start func(t *testing.T, certs *servertest.Certs) (addr string)
	// uses are programs that write the payload, with the secret or another.
	uses map[string]func(ctx context.Context, addr, secret string, t asked) error
	key  string // the secret
}

func use[C interface{ Close() error }](open func() (C, error), do func(C) error) error {
	c, err := open()
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close())
}

func put(ctx context.Context) func(kv.KV) error {
	return func(s kv.KV) error { _, err := s.Put(ctx, "k", []byte(payload)); return err }
}

func lock(ctx context.Context) func(sync.Sync) error {
	return func(s sync.Sync) error {
		l, err := s.Lock(ctx, payload)
		if err != nil {
			return err
		}
		return l.Unlock(ctx)
	}
}

func register(ctx context.Context) func(discovery.Discovery) error {
	return func(d discovery.Discovery) error {
		r, err := d.Register(ctx, discovery.Instance{Service: "s", ID: "a", Address: "127.0.0.1:1", Labels: map[string]string{"l": payload}})
		if err != nil {
			return err
		}
		return r.Deregister(ctx)
	}
}

func configured(src config.Source) error {
	return use(func() (config.Config, error) {
		return config.New(config.WithSource(src), config.WithTimeout(limit))
	}, func(c config.Config) error {
		if got := c.Get("v").String(""); got != payload {
			return errors.New("read " + got)
		}
		return nil
	})
}

func openRedis(addr, password string, t asked) (*redis.Engine, error) {
	return redis.Open(addr, with(t, redis.WithTLS, redis.WithAuth("bob", password))...)
}

func openEtcd(addr, password string, t asked) (*etcd.Engine, error) {
	return etcd.Open(addr, with(t, etcd.WithTLS, etcd.WithAuth("root", password))...)
}

func openConsul(addr, token string, t asked) (*consul.Engine, error) {
	return consul.Open(addr, with(t, consul.WithTLS, consul.WithToken(token))...)
}

var vendors = []vendor{
	{
		name: "redis", key: secret,
		start: func(t *testing.T, certs *servertest.Certs) string {
			s := servertest.Redis(t, tlsOf(certs)...)
			admin := goredis.NewClient(&goredis.Options{Addr: s.Addr(), TLSConfig: clientOf(certs)})
			defer admin.Close()
			for _, words := range [][]any{{"acl", "setuser", "bob", "on", ">" + secret, "~*", "&*", "+@all"}, {"acl", "setuser", "default", "off"}} {
				if err := admin.Do(t.Context(), words...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			return s.Addr()
		},
		uses: map[string]func(context.Context, string, string, asked) error{
			"kv": func(ctx context.Context, a, key string, t asked) error {
				e, err := openRedis(a, key, t)
				return over(e, err, func(e *redis.Engine) error {
					return use(func() (kv.KV, error) { return kv.New(kvredis.On(e), kv.WithTimeout(limit)) }, put(ctx))
				})
			},
			"sync": func(ctx context.Context, a, key string, t asked) error {
				e, err := openRedis(a, key, t)
				return over(e, err, func(e *redis.Engine) error {
					return use(func() (sync.Sync, error) { return sync.New(syncredis.On(e), sync.WithTimeout(limit)) }, lock(ctx))
				})
			},
			"discovery": func(ctx context.Context, a, key string, t asked) error {
				e, err := openRedis(a, key, t)
				return over(e, err, func(e *redis.Engine) error {
					return use(func() (discovery.Discovery, error) {
						return discovery.New(discoveryredis.On(e), discovery.WithTimeout(limit))
					}, register(ctx))
				})
			},
			"event": func(ctx context.Context, a, key string, t asked) error {
				e, err := openRedis(a, key, t)
				return over(e, err, func(e *redis.Engine) error {
					s, err := event.New(eventredis.On(e), event.WithTimeout(limit))
					if err != nil {
						return err
					}
					return errors.Join(s.Publish(ctx, &event.Record{Type: "t", Source: "s", Data: []byte(payload)}), s.Close(ctx))
				})
			},
		},
	},
	{
		name: "etcd", key: secret,
		start: func(t *testing.T, certs *servertest.Certs) string {
			s := servertest.Etcd(t, tlsOf(certs)...)
			c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Addr()}, TLS: clientOf(certs), DialTimeout: limit})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Put(t.Context(), "config", `{"v":"`+payload+`"}`)
			for _, step := range []func() error{
				func() error { _, err := c.UserAdd(t.Context(), "root", secret); return err },
				func() error { _, err := c.UserGrantRole(t.Context(), "root", "root"); return err },
				func() error { _, err := c.AuthEnable(t.Context()); return err },
			} {
				err = errors.Join(err, step())
			}
			if err != nil {
				t.Fatal(err)
			}
			return s.Addr()
		},
		uses: map[string]func(context.Context, string, string, asked) error{
			"kv": func(ctx context.Context, a, key string, t asked) error {
				e, err := openEtcd(a, key, t)
				return over(e, err, func(e *etcd.Engine) error {
					return use(func() (kv.KV, error) { return kv.New(kvetcd.On(e), kv.WithTimeout(limit)) }, put(ctx))
				})
			},
			"sync": func(ctx context.Context, a, key string, t asked) error {
				e, err := openEtcd(a, key, t)
				return over(e, err, func(e *etcd.Engine) error {
					return use(func() (sync.Sync, error) { return sync.New(syncetcd.On(e), sync.WithTimeout(limit)) }, lock(ctx))
				})
			},
			"discovery": func(ctx context.Context, a, key string, t asked) error {
				e, err := openEtcd(a, key, t)
				return over(e, err, func(e *etcd.Engine) error {
					return use(func() (discovery.Discovery, error) {
						return discovery.New(discoveryetcd.On(e), discovery.WithTimeout(limit))
					}, register(ctx))
				})
			},
			"config": func(ctx context.Context, a, key string, t asked) error {
				e, err := openEtcd(a, key, t)
				return over(e, err, func(e *etcd.Engine) error { return configured(configetcd.On(e, "config")) })
			},
		},
	},
	{
		name: "consul", key: consulToken,
		start: func(t *testing.T, certs *servertest.Certs) string {
			// Open to those without a token, so that servertest sees it begin; who shows a wrong one is refused.
			s := servertest.Consul(t, append(tlsOf(certs), servertest.WithArgs(`-hcl=acl { enabled = true, default_policy = "allow", tokens { initial_management = "`+consulToken+`" } }`))...)
			conf := api.DefaultConfig()
			conf.Address, conf.Token = s.Addr(), consulToken
			if certs != nil {
				conf.Scheme = "https"
				conf.TLSConfig = api.TLSConfig{CAFile: certs.CAFile, CertFile: certs.ClientCert, KeyFile: certs.ClientKeyFile}
			}
			c, err := api.NewClient(conf)
			if err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				_, err = c.KV().Put(&api.KVPair{Key: "config", Value: []byte(`{"v":"` + payload + `"}`)}, nil)
				if err == nil {
					return s.Addr()
				}
				if time.Now().After(deadline) {
					t.Fatal(err)
				}
			}
		},
		uses: map[string]func(context.Context, string, string, asked) error{
			"kv": func(ctx context.Context, a, key string, t asked) error {
				e, err := openConsul(a, key, t)
				return over(e, err, func(e *consul.Engine) error {
					return use(func() (kv.KV, error) { return kv.New(kvconsul.On(e), kv.WithTimeout(limit)) }, put(ctx))
				})
			},
			"sync": func(ctx context.Context, a, key string, t asked) error {
				e, err := openConsul(a, key, t)
				return over(e, err, func(e *consul.Engine) error {
					return use(func() (sync.Sync, error) { return sync.New(syncconsul.On(e), sync.WithTimeout(limit)) }, lock(ctx))
				})
			},
			"discovery": func(ctx context.Context, a, key string, t asked) error {
				e, err := openConsul(a, key, t)
				return over(e, err, func(e *consul.Engine) error {
					return use(func() (discovery.Discovery, error) {
						return discovery.New(discoveryconsul.On(e), discovery.WithTimeout(limit))
					}, register(ctx))
				})
			},
			"config": func(ctx context.Context, a, key string, t asked) error {
				e, err := openConsul(a, key, t)
				return over(e, err, func(e *consul.Engine) error { return configured(configconsul.On(e, "config")) })
			},
		},
	},
}

func tlsOf(certs *servertest.Certs) []servertest.Option {
	if certs == nil {
		return nil
	}
	return []servertest.Option{servertest.WithTLS(certs)}
}

func clientOf(certs *servertest.Certs) *tls.Config {
	if certs == nil {
		return nil
	}
	return certs.Client
}

// On the wire to real servers with users there is no credential and no value if
// TLS was asked for. Without it there are, so that they would have been seen. A
// wrong credential is refused either way.
func TestOnTheWireToRealServers(t *testing.T) {
	for _, e := range vendors {
		for name, certs := range map[string]*servertest.Certs{"TLS": servertest.NewCerts(t), "in clear": nil} {
			t.Run(e.name+" "+name, func(t *testing.T) {
				t.Parallel()
				addr := e.start(t, certs)
				for what, run := range e.uses {
					w := newWire(t, addr)
					how := asked{certs != nil, clientOf(certs)}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					err := run(ctx, w.Addr().String(), e.key, how)
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					if got, want := w.seen(e.key), certs == nil; got != want {
						t.Errorf("%s: the credential is on the wire: %v, want %v", what, got, want)
					}
					if got, want := w.seen(payload), certs == nil; got != want {
						t.Errorf("%s: the value is on the wire: %v, want %v", what, got, want)
					}
					err = run(ctx, w.Addr().String(), "wrong-"+e.key, how)
					if err == nil || strings.Contains(err.Error(), e.key) {
						t.Errorf("%s with a wrong credential: %v", what, err)
					}
				}
			})
		}
	}
}
