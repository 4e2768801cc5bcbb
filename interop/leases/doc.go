// Package leases holds the tests of sync/kubernetes beside client-go's leader
// election, which most of what runs in a cluster uses: both stand for election
// on one Lease, and take turns.
package leases
