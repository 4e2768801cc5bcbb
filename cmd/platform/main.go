// Command platform looks into, and operates, what services of Go Platform stand
// on: stores, registries, streams, locks, traces, configuration. It talks to the
// engines themselves, by URL; there is no server of its own.
//
//	go install github.com/micro/go-platform/cmd/platform@latest
//	export PLATFORM_KV=redis://127.0.0.1:6379
//	platform kv put greeting hello
//	platform kv list
//
// "platform help" is where to begin. The page docs/command.md has the rest.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as it is below nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	redis.SetLogger(silent{})
	mysql.SetLogger(silent{})
	os.Exit(run(ctx, system(), os.Args[1:]))
}

// run executes a command line and returns the exit code.
func run(ctx context.Context, io streams, args []string) int {
	err := dispatch(ctx, io, args)
	return report(ctx, io, err)
}

// silent takes what the vendors' clients log by themselves: the same comes as an
// error.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
func (silent) Print(...any)                           {}
