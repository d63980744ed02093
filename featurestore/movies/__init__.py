"""TMDB movies: reading them, making them up, and making features of them."""

from featurestore.movies.features import AdvancedTMDBPreProcessor
from featurestore.movies.generator import GeneratedMovies, generate_movies
from featurestore.movies.loaders import (
    LoadedMovies,
    MoviesFileError,
    MovieStream,
    iter_movies,
    load_movies,
    movies_from_csv,
    movies_from_jsonl,
)
from featurestore.movies.schema import FEATURE_GROUPS
from featurestore.movies.statistics import FeatureStatistics
from featurestore.movies.streaming import iter_features

__all__ = [
    "FEATURE_GROUPS",
    "AdvancedTMDBPreProcessor",
    "FeatureStatistics",
    "GeneratedMovies",
    "LoadedMovies",
    "MovieStream",
    "MoviesFileError",
    "generate_movies",
    "iter_features",
    "iter_movies",
    "load_movies",
    "movies_from_csv",
    "movies_from_jsonl",
]
