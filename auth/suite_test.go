package auth_test

import (
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestLocalConformance(t *testing.T) {
	leak.Check(t)
	local := auth.NewAuthority()
	authtest.Run(t, authtest.Harness{
		Auth: func(_ *testing.T, service string, opts ...auth.Option) (auth.Auth, error) {
			return auth.New(append([]auth.Option{auth.Local(local), auth.WithService(service)}, opts...)...)
		},
		Features: authtest.Features{Token: true, Audience: true, Exchange: true},
	})
}
