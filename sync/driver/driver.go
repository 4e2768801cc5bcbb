// Package driver has what a backend of package sync may do beyond sync.Driver. A
// driver has an ability if it has the methods; it need not import this package.
package driver

import (
	"context"

	"github.com/micro/go-platform/sync"
)

// Lister is a sync.Driver that can list the claims of everybody, for Sync.List.
type Lister interface {
	// List calls yield for each claim that is alive and whose key begins with
	// prefix, until yield returns false: those that hold and, where the backend
	// keeps a queue, those that wait, of one key in their order. Kind and ID are the
	// front's to fill in. A time or an owner that the backend does not keep is zero.
	// It changes nothing.
	List(ctx context.Context, prefix string, yield func(key string, h sync.Hold) bool) error
}
