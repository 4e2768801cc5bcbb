package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// once is a command that a client does not send again by itself, however its
// MaxRetries is set: after a lost reply a second XADD would add the record twice.
type once struct{ goredis.Cmder }

// NoRetry implements goredis.Cmder.
func (once) NoRetry() bool { return true }

// scripter is a client that sends scripts once. Of those that schedule and cancel
// the second run would schedule what is published by then, or find nothing.
type scripter struct{ goredis.UniversalClient }

// Eval implements goredis.Scripter.
func (s scripter) Eval(ctx context.Context, script string, keys []string, args ...any) *goredis.Cmd {
	return s.run(ctx, "eval", script, keys, args)
}

// EvalSha implements goredis.Scripter.
func (s scripter) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *goredis.Cmd {
	return s.run(ctx, "evalsha", sha1, keys, args)
}

func (s scripter) run(ctx context.Context, name, script string, keys []string, args []any) *goredis.Cmd {
	words := make([]any, 0, 3+len(keys)+len(args))
	words = append(words, name, script, len(keys))
	for _, key := range keys {
		words = append(words, key)
	}
	cmd := goredis.NewCmd(ctx, append(words, args...)...)
	cmd.SetFirstKeyPos(3)
	_ = s.Process(ctx, once{cmd})
	return cmd
}
