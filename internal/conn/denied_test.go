package conn_test

import (
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A registry that refuses the credentials says so: it is not unavailable. The
// twin with the right ones registers.
func TestRegistriesThatRefuse(t *testing.T) {
	const root = "4a7e0a0f-0f0c-4f27-9f0f-1d3a4b5c6d7e"
	redis := servertest.Redis(t, servertest.WithArgs("--requirepass", "secret"))
	etcd := servertest.Etcd(t)
	consul := servertest.Consul(t, servertest.WithArgs(`-hcl=acl { enabled = true, default_policy = "allow", tokens { initial_management = "`+root+`" } }`))
	admin, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Addr()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	_, err1 := admin.RoleAdd(t.Context(), "root")
	_, err2 := admin.UserAdd(t.Context(), "root", "secret")
	_, err3 := admin.UserGrantRole(t.Context(), "root", "root")
	_, err4 := admin.AuthEnable(t.Context())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ right, wrong discovery.Option }{
		"redis": {discoveryredis.Backend("redis://:secret@" + redis.Addr()), discoveryredis.Backend("redis://:wrong@" + redis.Addr())},
		"etcd":  {discoveryetcd.Backend("etcd://root:secret@" + etcd.Addr()), discoveryetcd.Backend("etcd://root:wrong@" + etcd.Addr())},
		"consul": {
			discoveryconsul.Backend("consul://:" + root + "@" + consul.Addr()),
			discoveryconsul.Backend("consul://:5b8f1b10-1f1d-4038-8010-2e4b5c6d7e8f@" + consul.Addr()),
		},
	} {
		t.Run(name, func(t *testing.T) {
			register := func(backend discovery.Option) error {
				d, err := discovery.New(backend, discovery.WithTimeout(30*time.Second))
				if err != nil {
					return err
				}
				defer d.Close()
				reg, err := d.Register(t.Context(), discovery.Instance{Service: "shop", Address: "127.0.0.1:1"})
				if err != nil {
					return err
				}
				return reg.Deregister(t.Context())
			}
			if err := register(c.wrong); !errors.Is(err, discovery.ErrDenied) || errors.Is(err, discovery.ErrUnavailable) || errors.Is(err, discovery.ErrUnknownOutcome) {
				t.Errorf("wrong credentials: %v, want ErrDenied", err)
			}
			for deadline := time.Now().Add(60 * time.Second); ; <-time.After(50 * time.Millisecond) { // Consul's ACLs are there a moment later
				err := register(c.right)
				if err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("right credentials: %v", err)
				}
			}
		})
	}
}
