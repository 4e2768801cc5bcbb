package registries

import (
	"context"

	"github.com/zeromicro/go-zero/core/discov"
	"github.com/zeromicro/go-zero/core/logx"
)

// zeroEtcd is go-zero's publisher and subscriber.
var zeroEtcd = peer{
	register: func(_ context.Context, i instance) error {
		logx.Disable()
		discov.TimeToLive = int64(ttl.Seconds())
		return discov.NewPublisher([]string{i.registry}, service, i.address).KeepAlive()
	},
	follow: func(ctx context.Context, registry string) (func() []string, error) {
		logx.Disable()
		s, err := discov.NewSubscriber([]string{registry}, service)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, s.Close)
		return s.Values, nil
	},
}
