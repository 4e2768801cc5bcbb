package wrapper

// TokenMode says whose token a call to a service shows.
type TokenMode uint8

const (
	Own      TokenMode = iota // this service's own
	PassOn                    // that of the caller whose request is being handled
	Exchange                  // one made from the caller's, for the service that is called
	None                      // none
)

// WithTokens chooses whose token the calls to each service show. The default
// is Own for all. The others trust that service with what the caller may do.
func WithTokens(f func(service string) TokenMode) Option {
	return with("function", f, func(o *options) { o.tokens = f })
}
