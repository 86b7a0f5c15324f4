package demodata

import (
	"context"
	"time"
)

// PurgeEvery removes credentials that expired or were revoked over a day ago, once
// per interval until ctx is done. Stores keep them otherwise.
func (s *Storage) PurgeEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s.purge(ctx, now.Add(-24*time.Hour))
		}
	}
}

func (s *Storage) purge(ctx context.Context, before time.Time) {
	n, err := s.Credentials.Purge(ctx, before)
	if err != nil {
		s.log.Error("purge failed", "error", err)
		return
	}
	s.log.Info("purged", "credentials", n)
}
