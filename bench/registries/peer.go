package registries

import (
	"context"
	"fmt"
	"time"
)

// peer is one toolkit on one registry.
type peer struct {
	// register enters an instance and keeps it alive until the process ends.
	register func(ctx context.Context, i instance) error
	// follow returns what the process would send calls to, at any time.
	follow func(ctx context.Context, registry string) (offered func() []string, err error)
}

// instance is what a child process registers.
type instance struct {
	registry, id, address string
	again                 bool // it had the id before, at another address
}

const service = "greeter"

// ttl is how long an instance may be silent. Heartbeats come three times as
// often, where it is the user who sends them.
const ttl = 3 * time.Second

// peers by registry and toolkit.
var peers = map[string]map[string]peer{
	"etcd": {
		"go-platform": platformEtcd,
		"go-micro":    microEtcd,
		"go-kit":      kitEtcd,
		"go-zero":     zeroEtcd,
		"kratos":      kratosEtcd,
		"grpc":        grpcEtcd,
	},
	"consul": {
		"go-platform": platformConsul,
		"go-micro":    microConsul,
		"go-kit":      kitConsul,
		"kratos":      kratosConsul,
	},
	"redis": {
		"go-platform": platformRedis,
	},
}

// serve is the role of an instance's process: registry, toolkit, address of the
// registry, id, address, and whether it had the id before.
func serve(args []string) error {
	p := peers[args[0]][args[1]]
	began := time.Now()
	if err := p.register(context.Background(), instance{args[2], args[3], args[4], args[5] == "true"}); err != nil {
		return err
	}
	fmt.Println(began.UnixNano())
	select {} // until SIGKILL
}

// beat calls f three times a TTL, until the process ends.
func beat(f func()) {
	go func() {
		for range time.Tick(ttl / 3) {
			f()
		}
	}()
}
