package otlp

import (
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/micro/go-platform/internal/otlp"
)

// Option configures Open, and what log/otlp, metrics/otlp and trace/otlp open for
// themselves. otlp/otlpgrpc has those of gRPC.
type Option = otlp.Option

// WithClient uses c, which Close leaves as it is. It has TLS of its own: WithTLS
// beside it is an error.
func WithClient(c *http.Client) Option { return otlp.WithClient(c) }

// WithTLS connects with TLS, also to an address without a scheme. With an
// address that says http it is an error.
func WithTLS(c *tls.Config) Option { return otlp.WithTLS(c) }

// WithHeader adds a header to every request, such as a token.
func WithHeader(key, value string) Option { return otlp.WithHeader(key, value) }

// WithService names the process: service.name in the resource. Without it the
// name is "unknown_service:" and that of the program.
func WithService(name string) Option { return otlp.WithService(name) }

// WithResource adds attributes of the process, such as
// deployment.environment.name. One with the key of an attribute that is there
// anyway replaces it.
func WithResource(attrs ...slog.Attr) Option { return otlp.WithResource(attrs...) }

// WithJSON writes requests in JSON. The default is protobuf, which is smaller
// and costs less.
func WithJSON() Option { return otlp.WithJSON() }

// WithoutGzip sends requests as they are. By default those of 1 KiB or more are
// compressed.
func WithoutGzip() Option { return otlp.WithoutGzip() }

// WithMaxRequest bounds a request before compression, in bytes, at least 1024.
// The default is 4 MiB.
func WithMaxRequest(bytes int) Option { return otlp.WithMaxRequest(bytes) }

// WithDelta makes metrics send what was counted since the last export that arrived,
// instead of totals.
func WithDelta() Option { return otlp.WithDelta() }
