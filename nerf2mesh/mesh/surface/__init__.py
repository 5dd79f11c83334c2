"""Operations on triangle surfaces: repair, decimation, remeshing, self-intersections."""
